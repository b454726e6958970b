//! Sizes as people read them.

/// Bytes in decimal units, as hubs show them: `991 B`, `36.8 MB`, `2.39 GB`.
pub fn shown(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
    ];
    let Some((unit, size)) = UNITS.iter().find(|(_, size)| bytes >= *size) else {
        return format!("{bytes} B");
    };
    // Three digits, rounded: hundredths below ten, tenths below a hundred.
    let rounded = |parts: u64| {
        let step = size / parts;
        bytes / step + u64::from(bytes % step * 2 >= step)
    };
    match rounded(100) {
        n @ 0..1_000 => format!("{}.{:02} {unit}", n / 100, n % 100),
        _ => match rounded(10) {
            n @ 0..1_000 => format!("{}.{} {unit}", n / 10, n % 10),
            _ => format!("{} {unit}", rounded(1)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_size_has_three_digits_and_its_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (36_800_000, "36.8 MB"),
            (9_996, "10.0 kB"),
            (99_960, "100 kB"),
            (3_136_544, "3.14 MB"),
            (491_400_032, "491 MB"),
            (2_390_000_000, "2.39 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }
}
