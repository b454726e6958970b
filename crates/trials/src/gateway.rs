//! The gateway under trial as a black box: settings in, a process that is started, killed and asked.
//!
//! Only the process that a trial started is ever ended, by its id.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::export::{self, Row, Verified};

/// A restart that takes longer is a violation.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(5);
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// How often a start is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(2);
/// How a process ends that dies at a crash point.
const SIGABRT: i32 = 6;

/// A data folder with its settings, and the program that serves it.
#[derive(Debug)]
pub(crate) struct Place {
    binary: PathBuf,
    folder: tempfile::TempDir,
    key: String,
    admin_key: String,
}

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    pub(crate) addr: SocketAddr,
    pub(crate) ready_after: Duration,
    log: PathBuf,
}

impl Place {
    pub(crate) fn new(binary: &Path, settings: &str) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix("tollgate-trial-")
            .tempdir()
            .map_err(|error| format!("no temporary folder: {error}"))?;
        let place = Self {
            binary: binary.to_owned(),
            folder,
            key: virtual_key("trial"),
            admin_key: key_text("sk-tga-", "trial"),
        };
        let private = fs::Permissions::from_mode(0o600);
        fs::write(place.settings(), settings)
            .and_then(|()| fs::set_permissions(place.settings(), private))
            .map_err(|error| error.to_string())?;
        Ok(place)
    }

    /// The key that callers use.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The key of an owner, for the admin API.
    pub(crate) fn admin_key(&self) -> &str {
        &self.admin_key
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("tollgate.toml")
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder beside the data, which the gateway does not touch.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command of the program with nothing of the caller's environment but the path.
    fn command(&self, words: &[&str]) -> Command {
        self.command_under(&[], words)
    }

    /// As `command`, begun by another program with words of its own.
    fn command_under(&self, other: &[&OsStr], words: &[&str]) -> Command {
        let all: Vec<&OsStr> = other
            .iter()
            .copied()
            .chain([self.binary.as_os_str()])
            .collect();
        let mut command = Command::new(all[0]);
        command
            .args(&all[1..])
            .args(words)
            .env_clear()
            .kill_on_drop(true);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .env("HOME", self.folder.path())
            .env("TOLLGATE_KEY", &self.key)
            .env("TOLLGATE_ADMIN_KEY", &self.admin_key)
            .stdin(Stdio::null());
        command
    }

    /// Starts the gateway and waits until it is ready; `crash_at` is the value of `TOLLGATE_CRASH_AT`.
    pub(crate) async fn start(&self, crash_at: Option<&str>) -> Result<Gateway, String> {
        let mut gateway = self.spawn(crash_at, &[])?;
        gateway.become_ready().await?;
        Ok(gateway)
    }

    /// Starts the gateway by another program, which has to become the gateway: a tracer that forks itself off.
    pub(crate) async fn start_under(&self, other: &[&OsStr]) -> Result<Gateway, String> {
        let mut gateway = self.spawn(None, other)?;
        gateway.become_ready().await?;
        Ok(gateway)
    }

    /// Starts a gateway that has to die before it serves; says whether it did.
    pub(crate) async fn start_to_crash(&self, crash_at: &str) -> Result<bool, String> {
        let mut gateway = self.spawn(Some(crash_at), &[])?;
        let has_crashed = gateway.crashes_within(READY_WITHIN * 2).await;
        gateway.kill().await?;
        Ok(has_crashed)
    }

    fn spawn(&self, crash_at: Option<&str>, other: &[&OsStr]) -> Result<Gateway, String> {
        let addr = free_address().map_err(|error| error.to_string())?;
        let log = self
            .folder
            .path()
            .join(format!("gateway-{}.log", addr.port()));
        let output = fs::File::create(&log).map_err(|error| error.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let listen = addr.to_string();
        let mut command = self.command_under(other, &["serve", "--json", "--listen", &listen]);
        command
            .arg("--data")
            .arg(self.data())
            .arg("--config")
            .arg(self.settings())
            .stdout(output)
            .stderr(errors);
        if let Some(crash_at) = crash_at {
            command.env("TOLLGATE_CRASH_AT", crash_at);
        }
        let child = command
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.binary.display()))?;
        Ok(Gateway {
            child,
            addr,
            ready_after: Duration::ZERO,
            log,
        })
    }

    /// Every row of the ledger. The gateway may be running or not.
    pub(crate) async fn export(&self) -> Result<Vec<Row>, String> {
        let text = self.ask(&["ledger", "export", "--format", "jsonl"]).await?;
        export::rows(&text)
    }

    /// What the product itself finds wrong with its ledger.
    pub(crate) async fn verify(&self) -> Result<Verified, String> {
        // With findings it says so by its exit status too.
        let output = self.output(&["ledger", "verify", "--json"]).await?;
        serde_json::from_slice(&output.stdout)
            .map_err(|error| failure("ledger verify --json", &output, &error.to_string()))
    }

    async fn output(&self, words: &[&str]) -> Result<Output, String> {
        let mut command = self.command(words);
        command.arg("--data").arg(self.data());
        command.output().await.map_err(|error| error.to_string())
    }

    async fn ask(&self, words: &[&str]) -> Result<String, String> {
        let output = self.output(words).await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(failure(&words.join(" "), &output, "failed"))
    }
}

impl Gateway {
    async fn become_ready(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        while !self.answers("/health/ready").await {
            let has_ended = self.child.try_wait().is_ok_and(|ended| ended.is_some());
            if has_ended || begin.elapsed() > READY_WITHIN * 4 {
                return Err(format!(
                    "the gateway did not become ready; it said:\n{}",
                    self.said()
                ));
            }
            sleep(ASK_EVERY).await;
        }
        self.ready_after = begin.elapsed();
        Ok(())
    }

    /// Ends it at once, as a power-off of this one process would: SIGKILL.
    pub(crate) async fn kill(&mut self) -> Result<(), String> {
        self.child.kill().await.map_err(|error| error.to_string())
    }

    /// Whether it dies at a crash point within this time. Another end is none.
    pub(crate) async fn crashes_within(&mut self, limit: Duration) -> bool {
        let ended = timeout(limit, self.child.wait()).await;
        matches!(ended, Ok(Ok(status)) if status.signal() == Some(SIGABRT))
    }

    /// Whether it ends by itself within this time.
    async fn ends_within(&mut self, limit: Duration) -> bool {
        timeout(limit, self.child.wait()).await.is_ok()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> Result<(), String> {
        let Some(id) = self.child.id() else {
            return Ok(());
        };
        let asked = Command::new("kill")
            .args(["-TERM", &id.to_string()])
            .status()
            .await;
        if asked.is_ok_and(|status| status.success()) && self.ends_within(STOP_WITHIN).await {
            return Ok(());
        }
        self.kill().await?;
        Err(format!("it did not stop within {STOP_WITHIN:?}"))
    }

    /// Whether a GET of this path answers 200.
    pub(crate) async fn answers(&self, path: &str) -> bool {
        let (addr, path) = (self.addr, path.to_owned());
        let asked = tokio::task::spawn_blocking(move || get(addr, &path)).await;
        matches!(asked, Ok(Ok(true)))
    }

    /// The end of what it printed.
    pub(crate) fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn failure(words: &str, output: &Output, why: &str) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    format!(
        "`tollgate {words}` ({}): {why}: {said}{errors}",
        output.status
    )
}

fn get(addr: SocketAddr, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
    )?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start.ends_with(b" 200"))
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// A caller's key. It opens nothing but the trial's own data folder.
pub(crate) fn virtual_key(name: &str) -> String {
    key_text("sk-tg-", name)
}

/// A key of the documented form: a prefix, a name padded to 30 letters, and its checksum.
fn key_text(prefix: &str, name: &str) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body: String = name.chars().cycle().take(30).collect();
    let mut sum = crc32fast::hash(body.as_bytes());
    let mut digits = ['0'; 6];
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(sum % 62).unwrap_or(0);
        *digit = char::from(ALPHABET[index]);
        sum /= 62;
    }
    format!("{prefix}{body}{}", digits.iter().collect::<String>())
}
