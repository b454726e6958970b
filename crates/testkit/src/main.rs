//! `tollgate-testkit`: the scripted providers and their control port in one process.
//!
//! Prints one JSON line with the addresses when ready, then serves until it is ended (or, with
//! `--until-stdin-closes`, until its parent is gone).

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use tokio::io::AsyncReadExt as _;
use tollgate_testkit::{Options, Testkit};

#[derive(Debug, Parser)]
#[command(
    name = "tollgate-testkit",
    about = "Scripted OpenAI, Anthropic and Gemini providers on loopback, with an oracle."
)]
struct Args {
    /// Address of the OpenAI side.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    openai: SocketAddr,
    /// Address of the Anthropic side.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    anthropic: SocketAddr,
    /// Address of the Gemini side.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    gemini: SocketAddr,
    /// Address of the control port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Append one JSON line per ended attempt to this file.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Append one line per accepted and one per ended attempt to this file, each synced to the disk.
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// Worker threads; 1 serves everything on one thread.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Benchmark peer: keep no records, send static answers without checking the body.
    #[arg(long)]
    bench: bool,
    /// End when standard input closes.
    #[arg(long)]
    until_stdin_closes: bool,
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let mut builder = match args.threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    builder.enable_all().build()?.block_on(serve(args))
}

async fn serve(args: Args) -> std::io::Result<()> {
    let options = |listen| Options {
        listen,
        record_file: args.record.clone(),
        journal: args.records.clone(),
        is_bench: args.bench,
    };
    let testkit = Testkit::start(
        &options(args.openai),
        &options(args.anthropic),
        &options(args.gemini),
        args.control,
    )
    .await?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        r#"{{"event":"ready","openai":"{}","anthropic":"{}","gemini":"{}","control":"{}"}}"#,
        testkit.openai.base_url(),
        testkit.anthropic.base_url(),
        testkit.gemini.base_url(),
        testkit.control_url()
    )?;
    out.flush()?;
    if args.until_stdin_closes {
        let mut rest = Vec::new();
        tokio::io::stdin().read_to_end(&mut rest).await?;
        return Ok(());
    }
    tokio::signal::ctrl_c().await
}
