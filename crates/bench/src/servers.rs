//! Starts and stops what is measured: the scripted provider, nginx, Tollgate.
//!
//! Every process is pinned to the core it is given, gets an environment of its
//! own (no provider key of the machine switches anything on) and writes only
//! into the run's temporary folder.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const NGINX_TEMPLATE: &str = include_str!("nginx.conf.in");

/// A running server; ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From starting the process to the first 200 of its health page.
    pub(crate) ready_after: Duration,
    log: PathBuf,
}

/// Where the programs are and where they may write.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) nginx: PathBuf,
    pub(crate) tollgate: Option<PathBuf>,
}

/// Rules that every call of the benchmark lies in and that none of them reaches, and a line of log for each call.
const EVERYTHING_ON: &str = "[prices.\"bench/*\"]\ninput = 1\noutput = 2\n\
    [budgets.all]\nscope = \"gateway\"\nlimit = 100000000\n\
    [budgets.provider]\nscope = \"provider:bench\"\nlimit = 100000000\n\
    [limits.requests]\nscope = \"gateway\"\nmeasure = \"requests-per-minute\"\nmost = 100000000\n\
    [limits.tokens]\nscope = \"gateway\"\nmeasure = \"tokens-per-minute\"\nmost = 1000000000000\n\
    [limits.places]\nscope = \"provider:bench\"\nmeasure = \"concurrent-requests\"\nmost = 100000\n\
    [log]\nlevel = \"info\"\n";

/// The configuration of the scripted provider.
pub(crate) fn bench_provider(upstream: SocketAddr) -> String {
    format!(
        "[providers.bench]\nkind = \"openai-compatible\"\nbase_url = \"http://{upstream}/v1\"\napi_key = \"test-bench\"\n"
    )
}

impl Place {
    /// The scripted provider.
    pub(crate) fn provider(&self, name: &str, core: usize) -> Result<Server, Box<dyn Error>> {
        let address = free_address()?;
        let mut command = pinned(Some(core), &std::env::current_exe()?);
        command.args(["provider", "--listen", &address.to_string()]);
        self.start(command, name, address, "/")
    }

    /// nginx as a plain reverse proxy with keep-alive on both sides.
    pub(crate) fn nginx(
        &self,
        core: Option<usize>,
        upstream: SocketAddr,
    ) -> Result<Server, Box<dyn Error>> {
        let address = free_address()?;
        let folder = self.folder.join(format!("nginx-{}", address.port()));
        fs::create_dir_all(&folder)?;
        let text = NGINX_TEMPLATE
            .replace("@FOLDER@", &folder.display().to_string())
            .replace("@LISTEN@", &address.to_string())
            .replace("@UPSTREAM@", &upstream.to_string());
        let file = folder.join("nginx.conf");
        fs::write(&file, text)?;
        let mut command = pinned(core, &self.nginx);
        command
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(folder.join("error.log"));
        self.start(command, "nginx", address, "/health/ready")
    }

    /// Tollgate with everything on: keys, limits, budget, ledger, call log; its key, the configuration of its
    /// providers and a data folder of its own.
    pub(crate) fn tollgate(
        &self,
        core: Option<usize>,
        providers: &str,
        data: &str,
    ) -> Result<Server, Box<dyn Error>> {
        let binary = self
            .tollgate
            .as_ref()
            .ok_or("no Tollgate binary was given")?;
        let address = free_address()?;
        let file = self.folder.join("tollgate.toml");
        fs::write(&file, format!("{providers}{EVERYTHING_ON}"))?;
        let mut command = pinned(core, binary);
        command.args(["serve", "--json", "--listen", &address.to_string()]);
        command
            .arg("--data")
            .arg(self.folder.join(data))
            .arg("--config")
            .arg(&file);
        command.env("TOLLGATE_KEY", tollgate_key());
        self.start(command, "tollgate", address, "/health/ready")
    }

    fn start(
        &self,
        mut command: Command,
        name: &str,
        address: SocketAddr,
        health: &str,
    ) -> Result<Server, Box<dyn Error>> {
        let log = self.folder.join(format!("{name}-{}.log", address.port()));
        let output = fs::File::create(&log)?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .env("HOME", &self.folder);
        let start = Instant::now();
        let child = command
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let mut server = Server {
            child,
            address,
            ready_after: Duration::ZERO,
            log,
        };
        while !answers(address, health) {
            if server.child.try_wait()?.is_some() || start.elapsed() > Duration::from_secs(20) {
                return Err(
                    format!("{name} did not become ready; it said:\n{}", server.said()).into(),
                );
            }
            sleep(Duration::from_micros(200));
        }
        server.ready_after = start.elapsed();
        Ok(server)
    }
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of what the server printed.
    pub(crate) fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked first: nginx must end its worker itself.
        let asked = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let start = Instant::now();
        while asked.is_ok() && start.elapsed() < Duration::from_secs(5) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            sleep(Duration::from_millis(5));
        }
        if self.child.kill().is_ok() {
            let _ended = self.child.wait();
        }
    }
}

/// A virtual key of the right form; it opens nothing but this run's data folder.
pub(crate) fn tollgate_key() -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = "benchmark0benchmark0benchmark0";
    let mut sum = crc32fast::hash(body.as_bytes());
    let mut digits = ['0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = char::from(ALPHABET[(sum % 62) as usize]);
        sum /= 62;
    }
    format!("sk-tg-{body}{}", digits.iter().collect::<String>())
}

/// A command with nothing of the caller's environment but the path, on one core or on all.
pub(crate) fn pinned(core: Option<usize>, program: &Path) -> Command {
    let mut command = match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Whether the server answers 200 to a GET of this path.
fn answers(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_has_the_documented_form() {
        let key = tollgate_key();
        assert_eq!(key.len(), 42);
        assert!(
            key.starts_with("sk-tg-") && key[6..].bytes().all(|byte| byte.is_ascii_alphanumeric())
        );
    }
}
