//! Speed of products on this CPU: `cargo run --release -p tollgate-kernels --example products [-- ROWS]`.

use std::time::Instant;

use tollgate_kernels::{Activations, Cpu, Format, Kind, Weights};

#[expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program run by hand that prints figures"
)]
fn main() {
    let rows = std::env::args().nth(1).and_then(|rows| rows.parse().ok());
    let (n_rows, n_columns) = (rows.unwrap_or(8192), 2048);
    for format in [
        Format::Q4K,
        Format::Q6K,
        Format::Q8_0,
        Format::Q4_0,
        Format::F16,
    ] {
        let data = vec![0x31; format.row_bytes(n_columns) * n_rows];
        let weights = Weights {
            format,
            n_columns,
            data: &data,
        };
        for cpu in Cpu::all() {
            for n_inputs in [1, 4, 8, 64] {
                let numbers = vec![0.7; n_inputs * n_columns];
                let input = Activations::new(Kind::of(format), &numbers, n_columns);
                let mut out = vec![0.0; n_rows * n_inputs];
                let began = Instant::now();
                let mut n = 0;
                while began.elapsed().as_millis() < 150 {
                    cpu.multiply(weights, 0..n_rows, &input, &mut out);
                    n += 1;
                }
                let pace = began.elapsed().as_secs_f64() / f64::from(n);
                let products = (n_rows * n_columns * n_inputs) as f64 / pace / 1e9;
                let bytes = data.len() as f64 / pace / 1e9;
                println!(
                    "{format:?} {cpu:?} {n_inputs:3} rows: {products:6.1} G products/s, {bytes:5.1} GB/s of weights"
                );
            }
        }
    }
}
