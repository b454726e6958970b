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
    // Three digits, by whole numbers: hundredths below ten, tenths below a hundred.
    let hundredths = bytes / (size / 100);
    match hundredths {
        0..1_000 => format!("{}.{:02} {unit}", hundredths / 100, hundredths % 100),
        1_000..10_000 => format!("{}.{} {unit}", hundredths / 100, hundredths / 10 % 10),
        _ => format!("{} {unit}", hundredths / 100),
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
            (491_400_032, "491 MB"),
            (2_390_000_000, "2.39 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }
}
