//! `tollgate prices`: shows, compares and updates the prices, and projects what a workload costs.

use std::{
    io::{IsTerminal as _, stdin},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Serialize;
use tollgate_base::{Error, Result};
use tollgate_catalog::price::{Bucket, LARGEST_FILE, Price, PriceBook, Workload, diff};
use tollgate_config::{Allowances, BaseUrl};
use tollgate_upstream::{Client, Endpoint, Timeouts};

use crate::{
    Exit, prices,
    settings::Options,
    terminal::{data, say, write_data},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the prices, in dollars for a million units; with a model, everything that is known of its price.
    Show {
        #[arg(value_name = "PROVIDER/MODEL")]
        model: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Check a price file and say how it differs from the prices in force.
    Diff {
        file: PathBuf,
        #[command(flatten)]
        options: Options,
    },
    /// Put a price file in the place of the prices in force, after showing what differs.
    Update {
        /// A file, or an https:// URL
        #[arg(value_name = "FILE_OR_URL")]
        source: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        options: Options,
    },
    /// What requests that are all alike cost.
    Project(Project),
}

#[derive(Debug, Args)]
struct Project {
    #[arg(long, value_name = "PROVIDER/MODEL")]
    model: String,
    #[arg(long, value_name = "N")]
    requests_per_day: u64,
    #[arg(long, value_name = "N")]
    input_tokens: u64,
    #[arg(long, value_name = "N")]
    output_tokens: u64,
    #[arg(long, value_name = "N", default_value_t = 30)]
    days: u64,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let folder = match arguments.action.options().load(None) {
        Ok(loaded) => loaded.config.data_dir,
        Err(exit) => return exit,
    };
    arguments.action.run(&folder).unwrap_or_else(|error| {
        say(error.message());
        Exit::Failure
    })
}

impl Action {
    fn options(&self) -> &Options {
        match self {
            Action::Show { options, .. }
            | Action::Diff { options, .. }
            | Action::Update { options, .. }
            | Action::Project(Project { options, .. }) => options,
        }
    }

    fn run(&self, folder: &Path) -> Result<Exit> {
        match self {
            Action::Show { model, json, .. } => {
                show(&prices::load(folder)?, model.as_deref(), *json)
            }
            Action::Diff { file, .. } => {
                let new = PriceBook::parse(&prices::read(file)?)?;
                data(&difference(&prices::load(folder)?, &new));
                Ok(Exit::Success)
            }
            Action::Update { source, yes, .. } => update(folder, source, *yes),
            Action::Project(project) => project.run(&prices::load(folder)?),
        }
    }
}

fn update(folder: &Path, source: &str, yes: bool) -> Result<Exit> {
    let bytes = fetch(source)?;
    let new = PriceBook::parse(&bytes)?;
    let builtin = PriceBook::builtin();
    // A file in force that is wrong is a reason to update, and must not stand in its way.
    let old = prices::load(folder).unwrap_or_else(|error| {
        say(error.message());
        builtin.clone()
    });
    data(&difference(&old, &new));
    if new.as_of() < builtin.as_of() {
        let message = "These prices are older than those of this program, which would go on using its own. \
                       Nothing was written.";
        return Err(Error::invalid_value("as_of", message));
    }
    if !yes && !agreed() {
        say("Nothing was written. Run it again with --yes to use these prices.");
        return Ok(Exit::Failure);
    }
    let path = prices::write(folder, &bytes)?;
    say(&format!("Wrote {}. Restart to use it.", path.display()));
    Ok(Exit::Success)
}

fn find<'a>(book: &'a PriceBook, name: &str) -> Result<&'a Price> {
    name.split_once('/')
        .and_then(|(provider, model)| book.find(provider, model))
        .ok_or_else(|| {
            let message = format!(
                "{} has no price. `tollgate prices show` lists those that have one; write others under \
                 [prices] in the configuration.",
                tollgate_base::quote(name)
            );
            Error::invalid_value("model", message)
        })
}

fn show(book: &PriceBook, model: Option<&str>, json: bool) -> Result<Exit> {
    let all: Vec<(String, &Price)> = if let Some(name) = model {
        vec![(name.to_owned(), find(book, name)?)]
    } else {
        let named = |(provider, model, price)| (format!("{provider}/{model}"), price);
        book.prices().map(named).collect()
    };
    if json {
        let models = all.iter().map(|(name, price)| PriceOut {
            model: name,
            figures: price.figures().into_iter().collect(),
        });
        let out = BookOut {
            version: book.version(),
            as_of: book.as_of(),
            unit: "dollars for a million units",
            models: models.collect(),
        };
        data(&serde_json::to_string(&out).unwrap_or_default());
    } else if model.is_some() {
        for (path, figure) in all.iter().flat_map(|(_, price)| price.figures()) {
            data(&format!("{path:24}  {figure:>12}"));
        }
    } else {
        data(&table(&all));
    }
    say(&format!(
        "Prices of {}, version {}, in dollars for a million units.",
        book.as_of(),
        book.version()
    ));
    Ok(Exit::Success)
}

/// What `show --json` prints.
#[derive(Serialize)]
struct BookOut<'a> {
    version: &'a str,
    as_of: &'a str,
    unit: &'static str,
    models: Vec<PriceOut<'a>>,
}

#[derive(Serialize)]
struct PriceOut<'a> {
    model: &'a str,
    /// By its path in a price file.
    figures: std::collections::BTreeMap<String, String>,
}

fn table(all: &[(String, &Price)]) -> String {
    let width = all.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut lines = vec![format!(
        "{:width$}  {:>12}  {:>12}  {:>12}  also",
        "", "input", "output", "cache read"
    )];
    for (name, price) in all {
        let of = |bucket| match price.standard().get(bucket) {
            _ if price.is_free() => "free".to_owned(),
            Some(rate) => rate.to_decimal(),
            None => "-".to_owned(),
        };
        let mut also: Vec<String> = price.tiers().map(|tier| tier.as_str().to_owned()).collect();
        also.extend(
            price
                .threshold()
                .map(|tokens| format!("above {tokens} tokens")),
        );
        let kinds = price.standard().iter().map(|(bucket, _)| bucket);
        also.extend(
            kinds
                .filter(|bucket| !bucket.is_token())
                .map(|bucket| bucket.name().to_owned()),
        );
        lines.push(format!(
            "{name:width$}  {:>12}  {:>12}  {:>12}  {}",
            of(Bucket::Input),
            of(Bucket::Output),
            of(Bucket::CacheRead),
            also.join(", ")
        ));
    }
    lines.join("\n")
}

fn difference(old: &PriceBook, new: &PriceBook) -> String {
    let changes = diff(old, new);
    let mut lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    lines.push(format!(
        "{} of {} prices differ. In force: {} of {}; the file: {} of {}.",
        changes.len(),
        new.prices().count(),
        old.version(),
        old.as_of(),
        new.version(),
        new.as_of(),
    ));
    lines.join("\n")
}

/// Asks, where there is somebody to ask.
fn agreed() -> bool {
    if !stdin().is_terminal() {
        return false;
    }
    write_data("Use these prices? [y/N] ");
    let mut answer = String::new();
    stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn fetch(source: &str) -> Result<Vec<u8>> {
    if !source.contains("://") {
        return prices::read(Path::new(source));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("No runtime: {error}.")))?;
    runtime.block_on(download(source)).map(Vec::from)
}

async fn download(url: &str) -> Result<Bytes> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let bad_url = || {
        Error::invalid_value(
            "url",
            "The URL is not usable. Write it as https://host/path.",
        )
    };
    let allow = Allowances {
        private: true,
        http: false,
    };
    let base = BaseUrl::parse(url, allow).map_err(|fault| {
        Error::invalid_value("url", format!("The URL {}; {}.", fault.message, fault.hint))
    })?;
    if !base.is_tls() {
        return Err(bad_url());
    }
    let endpoint =
        Endpoint::new(base.host(), base.port(), base.is_tls(), |_| true).ok_or_else(bad_url)?;
    let path = Uri::try_from(url)
        .ok()
        .and_then(|uri| uri.into_parts().path_and_query);
    let client = Client::new(Timeouts {
        connect: PATIENCE,
        first_byte: PATIENCE,
    });
    let path = path.map(Uri::from).ok_or_else(bad_url)?;
    let exchange = async {
        let reply = client
            .send(
                &endpoint,
                Method::GET,
                &path,
                HeaderMap::new(),
                Bytes::new(),
            )
            .await
            .map_err(|fault| fault.error)?;
        if reply.status() != StatusCode::OK {
            let message = format!(
                "The server answered {}; a redirect is not followed.",
                reply.status()
            );
            return Err(Error::upstream_invalid(message));
        }
        reply.into_body().collect(LARGEST_FILE).await
    };
    tokio::time::timeout(2 * PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| {
            Err(Error::upstream_invalid(
                "The server did not answer in time.",
            ))
        })
}

impl Project {
    fn run(&self, book: &PriceBook) -> Result<Exit> {
        let workload = Workload {
            requests_per_day: self.requests_per_day,
            input: self.input_tokens,
            output: self.output_tokens,
            days: self.days,
        };
        let cost = find(book, &self.model)?
            .projection(&workload)
            .ok_or_else(|| {
                let message = format!(
                    "{} has no price for all of this.",
                    tollgate_base::quote(&self.model)
                );
                Error::invalid_value("model", message)
            })?;
        data(&cost.to_string());
        say(&format!(
            "{} requests a day of {} + {} tokens for {} days, at the standard prices of {}.",
            self.requests_per_day,
            self.input_tokens,
            self.output_tokens,
            self.days,
            book.as_of()
        ));
        Ok(Exit::Success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_price_and_says_what_else_there_is() {
        let book = PriceBook::builtin();
        let all = vec![
            ("a/long".to_owned(), find(book, "openai/gpt-5.6").unwrap()),
            (
                "b/free".to_owned(),
                find(book, "openai/omni-moderation-latest").unwrap(),
            ),
        ];
        let table = table(&all);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[1].contains("4.00") && lines[1].ends_with("above 272000 tokens, search"),
            "{table}"
        );
        assert!(lines[2].contains("free"), "{table}");
        let error = find(book, "openai/nothing\u{1b}").unwrap_err();
        assert!(
            error
                .message()
                .starts_with("`openai/nothing\\u{1b}` has no price"),
            "{error}"
        );
    }

    #[test]
    fn a_url_is_https_or_refused() {
        for url in [
            "http://example.com/p.json",
            "ftp://example.com/p",
            "https://",
        ] {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let error = runtime.block_on(download(url)).unwrap_err();
            assert!(error.message().contains("URL"), "{url}: {error}");
        }
    }
}
