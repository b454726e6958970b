use super::*;

const FORMATS: [Format; 11] = [
    Format::F32,
    Format::F16,
    Format::Bf16,
    Format::Q8_0,
    Format::Q4_0,
    Format::Q4_1,
    Format::Q5_0,
    Format::Q5_1,
    Format::Q4K,
    Format::Q5K,
    Format::Q6K,
];

/// The numbers of a linear congruence.
struct Numbers(u64);

impl Numbers {
    fn byte(&mut self) -> u8 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0.to_be_bytes()[0]
    }

    fn number(&mut self) -> f32 {
        (f32::from(self.byte()) - 127.5) / 64.0 + (f32::from(self.byte()) - 127.5) / 9000.0
    }

    /// A matrix of random blocks with scales of a sensible size.
    fn matrix(&mut self, format: Format, n_rows: usize, n_columns: usize) -> Vec<u8> {
        let (numbers, size) = format.block();
        let mut data = Vec::new();
        for _ in 0..n_rows * n_columns / numbers {
            let from = data.len();
            data.extend((0..size).map(|_| self.byte()));
            let scale = f32_to_half(self.number() / 50.0).to_le_bytes();
            let places: &[usize] = match format {
                Format::F16 | Format::Q8_0 | Format::Q4_0 | Format::Q5_0 => &[0],
                Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => &[0, 2],
                Format::Q6K => &[208],
                Format::Bf16 => {
                    let bits = self.number().to_bits().to_be_bytes();
                    data[from..].copy_from_slice(&[bits[1], bits[0]]);
                    &[]
                }
                Format::F32 => {
                    let number = self.number().to_le_bytes();
                    data[from..].copy_from_slice(&number);
                    &[]
                }
            };
            for place in places {
                data[from + place..][..2].copy_from_slice(&scale);
            }
        }
        data
    }
}

fn multiply(cpu: Cpu, weights: Weights<'_>, rows: Range<usize>, numbers: &[f32]) -> Vec<f32> {
    let input = Activations::new(Kind::of(weights.format), numbers, weights.n_columns);
    let mut out = vec![0.0; rows.len() * input.n_rows()];
    cpu.multiply(weights, rows, &input, &mut out);
    out
}

/// The activations are brought to eight bits, so each may be off by half a step of its block.
#[test]
fn products_of_every_format_are_near_the_exact_ones() {
    let mut random = Numbers(7);
    for format in FORMATS {
        let (n_rows, n_columns, n_inputs) = (37, 768, 11);
        let data = random.matrix(format, n_rows, n_columns);
        let weights = Weights {
            format,
            n_columns,
            data: &data,
        };
        let numbers: Vec<f32> = (0..n_inputs * n_columns).map(|_| random.number()).collect();
        let mut exact = Vec::new();
        format.decode(&data, &mut exact);
        for cpu in Cpu::all() {
            let found = multiply(cpu, weights, 0..n_rows, &numbers);
            for input in 0..n_inputs {
                let numbers = &numbers[input * n_columns..][..n_columns];
                for row in 0..n_rows {
                    let weights = &exact[row * n_columns..][..n_columns];
                    let (mut product, mut size) = (0.0, 0.0);
                    for (w, x) in weights.iter().zip(numbers) {
                        product += f64::from(*w) * f64::from(*x);
                        size += f64::from(w.abs());
                    }
                    // Half a step is 2/254; errors of so many numbers cancel out for the most part.
                    let bound = match Kind::of(format) {
                        Kind::Plain => size * 1e-6,
                        _ => size * 2.02 / 254.0 * 0.3,
                    };
                    let found = f64::from(found[input * n_rows + row]);
                    assert!(
                        (found - product).abs() <= bound,
                        "{format:?} {cpu:?} row {row}: {found} {product} {bound}"
                    );
                }
            }
        }
    }
}

/// Quantised formats are summed as whole numbers, so every CPU finds the same.
#[test]
fn every_cpu_finds_the_same_to_the_last_bit() {
    let mut random = Numbers(8);
    for format in FORMATS {
        if Kind::of(format) == Kind::Plain {
            continue;
        }
        let data = random.matrix(format, 21, 1024);
        let weights = Weights {
            format,
            n_columns: 1024,
            data: &data,
        };
        let numbers: Vec<f32> = (0..9 * 1024).map(|_| random.number()).collect();
        let plain = multiply(Cpu::Plain, weights, 0..21, &numbers);
        for cpu in Cpu::all() {
            assert_eq!(
                multiply(cpu, weights, 0..21, &numbers),
                plain,
                "{format:?} {cpu:?}"
            );
        }
    }
}

#[test]
fn a_row_of_activations_and_a_part_of_the_rows_find_what_all_together_find() {
    let mut random = Numbers(9);
    for format in FORMATS {
        let n_columns = 512;
        let data = random.matrix(format, 40, n_columns);
        let weights = Weights {
            format,
            n_columns,
            data: &data,
        };
        let numbers: Vec<f32> = (0..13 * n_columns).map(|_| random.number()).collect();
        for cpu in Cpu::all() {
            let all = multiply(cpu, weights, 0..40, &numbers);
            for (i, row) in numbers.chunks_exact(n_columns).enumerate() {
                for part in [0..16, 16..40, 3..5] {
                    let found = multiply(cpu, weights, part.clone(), row);
                    assert_eq!(found, all[i * 40..][part], "{format:?} {cpu:?}");
                }
            }
        }
    }
}

#[test]
fn attention_reads_its_head_of_a_cache_of_halves() {
    let mut random = Numbers(10);
    for head in [8, 20, 64] {
        let (width, at, n) = (head * 3, head, 9);
        let query: Vec<f32> = (0..head).map(|_| random.number()).collect();
        let cache: Vec<u16> = (0..n * width)
            .map(|_| f32_to_half(random.number()))
            .collect();
        for cpu in Cpu::all() {
            let mut found = vec![0.0; n];
            cpu.scores(&query, &cache, width, at, &mut found);
            let mut mixed = vec![1.0; head];
            cpu.mix(&found, &cache, width, at, &mut mixed);
            let mut expect = vec![1.0; head];
            for (p, score) in found.iter().enumerate() {
                let part = &cache[p * width + at..][..head];
                let mut sum = 0.0;
                for (i, half) in part.iter().enumerate() {
                    sum += query[i] * half_to_f32(*half);
                    expect[i] += score * half_to_f32(*half);
                }
                assert!((sum - score).abs() < 1e-3, "{cpu:?} {head}");
            }
            for (a, b) in mixed.iter().zip(&expect) {
                assert!((a - b).abs() < 1e-2, "{cpu:?} {head}");
            }
        }
    }
}

#[test]
fn weights_of_scores_sum_to_one() {
    for cpu in Cpu::all() {
        let mut scores = vec![1.0, 2.0, -1000.0, 3.0, 2.0, 1.0, 0.5, 0.25, 3.0, -2.0];
        cpu.softmax(&mut scores);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{cpu:?}");
        assert_eq!(
            (scores[2].to_bits(), scores[3].to_bits()),
            (0, scores[8].to_bits())
        );
        assert!(scores[3] > scores[1]);
    }
}

#[test]
fn both_forms_of_gelu_are_near_each_other_and_the_exact_one_is_exact() {
    // The middle of the normal distribution's table.
    let exact = [(1.0, 0.841_344_7), (-1.0, -0.158_655_3), (2.0, 1.954_499_7)];
    for cpu in Cpu::all() {
        let numbers: Vec<f32> = (-400..400_i16).map(|i| f32::from(i) / 80.0).collect();
        let mut found = numbers.clone();
        cpu.gelu_exact(&mut found);
        let mut other = numbers.clone();
        cpu.gelu(&mut other, &vec![1.0; numbers.len()]);
        for (a, b) in found.iter().zip(&other) {
            assert!((a - b).abs() < 1e-3, "{cpu:?}: {a} {b}");
        }
        for (x, expect) in exact {
            let mut found = [x];
            cpu.gelu_exact(&mut found);
            assert!((found[0] - expect).abs() < 1e-6, "{cpu:?}: {found:?}");
        }
    }
}
