//! Runs the program: a subcommand to its end, or a service on a free port of loopback.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// A data folder and the settings beside it.
pub(crate) struct Home {
    folder: TempDir,
}

/// What a subcommand said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) data: String,
    pub(crate) words: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Self { folder };
        home.configure("");
        home
    }

    pub(crate) fn configure(&self, settings: &str) {
        std::fs::write(self.folder.path().join("tollgate.toml"), settings).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command
            .env_clear()
            .env("LAB_KEY", "test-lab")
            .current_dir(self.path());
        command
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.path().join("data")
    }

    /// Runs a subcommand with `--data`, which its last words may be.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        let out = self
            .command()
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .output()
            .unwrap();
        Said {
            code: out.status.code().unwrap_or(-1),
            data: String::from_utf8(out.stdout).unwrap(),
            words: String::from_utf8(out.stderr).unwrap(),
        }
    }

    /// As `run`, of what must go well. Returns its data.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.data.trim_end().to_owned()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }

    /// As `run`, of what must be refused with words that hold `says`, and without data.
    pub(crate) fn refused(&self, arguments: &[&str], says: &str) {
        let said = self.run(arguments);
        assert_ne!(said.code, 0, "{arguments:?}: {said:?}");
        assert!(
            said.data.is_empty() && said.words.contains(says),
            "{arguments:?}: {said:?}"
        );
    }

    pub(crate) fn serve(&self) -> Service {
        let mut child = self
            .command()
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(self.data())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = ready["listen"].as_str().unwrap().to_owned();
        Service { child, address }
    }
}

/// A running service, killed at the end.
pub(crate) struct Service {
    child: Child,
    address: String,
}

impl Service {
    /// The status of one chat call.
    pub(crate) fn chat(&self, key: &str, model: &str, tags: &str) -> u16 {
        let mut reply = String::new();
        let mut stream = self.begin(key, model, tags);
        stream.read_to_string(&mut reply).unwrap();
        reply.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Sends one chat call and does not wait for its answer.
    pub(crate) fn begin(&self, key: &str, model: &str, tags: &str) -> TcpStream {
        let body =
            format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        write!(
            stream,
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\nx-tollgate-tags: {tags}\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        stream
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Asks until it is so, for at most ten seconds. Returns how long it took.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::yield_now();
    }
    began.elapsed()
}
