//! A model hub on loopback, with its storage on a second port as real ones have it, that can be told to misbehave.
//!
//! Owns the listing, the redirect to the storage, ranges and their conditions, tokens, and every way of going wrong that a
//! download has to survive. One request on a connection, one thread for each: a download is not a race.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use parking_lot::{Condvar, Mutex};
use sha2::{Digest as _, Sha256};

use crate::json::quote;

/// A running hub. Its threads end with the process.
#[derive(Debug)]
pub struct TestHub {
    hub: SocketAddr,
    storage: SocketAddr,
    shared: Arc<Shared>,
}

/// What the hub has and how it behaves. Everything may be changed between two requests.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fault that a test switches on by itself"
)]
pub struct Shelves {
    /// `owner/name`
    pub repository: String,
    pub commit: String,
    pub licence: String,
    /// By path in the repository.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What the listing says instead of a file's own checksum.
    pub listed_sha256: Option<String>,
    /// Whether the listing has sizes and checksums at all.
    pub lists_blobs: bool,
    /// Without this token everything is a 401.
    pub token: Option<String>,
    /// Files are refused until the terms are accepted.
    pub is_gated: bool,
    /// Files lie in the storage; otherwise the hub sends them itself.
    pub redirects: bool,
    /// A file redirects to itself.
    pub loops: bool,
    /// `Range` is understood.
    pub has_ranges: bool,
    /// The validator of what is sent; `None` sends none.
    pub etag: Option<String>,
    /// The next bodies end after that many bytes, and the connection with them.
    pub cuts: VecDeque<usize>,
    /// The next requests, of whatever kind, get this status and these headers.
    pub refusals: VecDeque<(u16, Vec<(String, String)>)>,
    /// What `Content-Length` says of a whole file, and bytes that are really sent beyond it.
    pub announced: Option<u64>,
    /// No `Content-Length`; the body ends with the connection.
    pub hides_length: bool,
    /// Bytes sent beyond the file's end.
    pub surplus: usize,
    /// A body stops after its first half until `release` is called.
    pub holds: bool,
}

/// A request that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whether the storage was asked, not the hub.
    pub of_storage: bool,
    pub target: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Shared {
    shelves: Mutex<Shelves>,
    asked: Mutex<Vec<Asked>>,
    is_held: Mutex<bool>,
    turn: Condvar,
    storage: SocketAddr,
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    cut: Option<usize>,
    holds: bool,
}

// === impl TestHub ===

impl TestHub {
    /// A hub with one repository, `lab/tiny-GGUF`, and these files.
    pub fn start(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> io::Result<Self> {
        let hub = TcpListener::bind(("127.0.0.1", 0))?;
        let storage = TcpListener::bind(("127.0.0.1", 0))?;
        let shared = Arc::new(Shared {
            shelves: Mutex::new(Shelves::new(files.into_iter().collect())),
            asked: Mutex::default(),
            is_held: Mutex::new(false),
            turn: Condvar::new(),
            storage: storage.local_addr()?,
        });
        let addresses = (hub.local_addr()?, storage.local_addr()?);
        for (listener, of_storage) in [(hub, false), (storage, true)] {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let shared = Arc::clone(&shared);
                    // A peer that leaves is part of what is tested.
                    thread::spawn(move || shared.serve(stream, of_storage).ok());
                }
            });
        }
        Ok(Self {
            hub: addresses.0,
            storage: addresses.1,
            shared,
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.hub)
    }

    /// A file of the storage, without the hub.
    pub fn storage_url(&self, path: &str) -> String {
        format!("http://{}/blob/{path}?sig=lets-anybody-in", self.storage)
    }

    /// The checksum that the hub lists for these bytes.
    pub fn sha256(bytes: &[u8]) -> String {
        digest(bytes)
    }

    pub fn change(&self, change: impl FnOnce(&mut Shelves)) {
        change(&mut self.shared.shelves.lock());
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().clone()
    }

    /// Waits until a body has stopped at its half.
    pub fn wait_until_held(&self) {
        let mut is_held = self.shared.is_held.lock();
        while !*is_held {
            self.shared.turn.wait(&mut is_held);
        }
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.shared.shelves.lock().holds = false;
        *self.shared.is_held.lock() = false;
        self.shared.turn.notify_all();
    }
}

// === impl Shelves ===

impl Shelves {
    fn new(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            repository: "lab/tiny-GGUF".to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            licence: "apache-2.0".to_owned(),
            files,
            listed_sha256: None,
            lists_blobs: true,
            token: None,
            is_gated: false,
            redirects: true,
            loops: false,
            has_ranges: true,
            etag: Some("\"v1\"".to_owned()),
            cuts: VecDeque::new(),
            refusals: VecDeque::new(),
            announced: None,
            hides_length: false,
            surplus: 0,
            holds: false,
        }
    }

    fn listing(&self) -> String {
        let siblings = self.files.iter().map(|(path, bytes)| {
            let (path, size) = (quote(path), bytes.len());
            if !self.lists_blobs {
                return format!(r#"{{"rfilename":{path}}}"#);
            }
            let sha256 = self
                .listed_sha256
                .clone()
                .unwrap_or_else(|| digest(bytes));
            format!(
                r#"{{"rfilename":{path},"size":{size},"lfs":{{"sha256":"{sha256}","size":{size},"pointerSize":134}}}}"#
            )
        });
        let siblings: Vec<String> = siblings.collect();
        format!(
            r#"{{"id":{},"sha":{},"gated":{},"cardData":{{"license":{}}},"siblings":[{}]}}"#,
            quote(&self.repository),
            quote(&self.commit),
            self.is_gated,
            quote(&self.licence),
            siblings.join(",")
        )
    }

    fn answer(&mut self, asked: &Asked, storage: SocketAddr) -> Reply {
        if let Some((status, headers)) = self.refusals.pop_front() {
            return Reply::new(status, headers, Vec::new());
        }
        if asked.of_storage {
            let path = asked.path().trim_start_matches("/blob/").to_owned();
            return self.file(&path, asked);
        }
        let given = asked.headers.get("authorization").map(String::as_str);
        if let Some(token) = &self.token
            && given != Some(format!("Bearer {token}").as_str())
        {
            return Reply::refused(401, "");
        }
        let parts: Vec<&str> = asked.path().trim_start_matches('/').split('/').collect();
        let is_known = |owner: &str, name: &str| format!("{owner}/{name}") == self.repository;
        match parts.as_slice() {
            ["api", "models"] => Reply::json(format!(r#"[{{"id":{}}}]"#, quote(&self.repository))),
            ["api", "models", owner, name, ..] if !is_known(owner, name) => {
                Reply::refused(401, "RepoNotFound")
            }
            ["api", "models", _, _, "refs"] => {
                Reply::json(r#"{"branches":[{"name":"main"}],"tags":[]}"#.to_owned())
            }
            ["api", "models", _, _, "revision", revision] => {
                if *revision == "main" || *revision == self.commit {
                    Reply::json(self.listing())
                } else {
                    Reply::refused(404, "RevisionNotFound")
                }
            }
            [owner, name, "resolve", _, path @ ..] if is_known(owner, name) => {
                let path = path.join("/");
                self.resolve(&path, asked, storage)
            }
            _ => Reply::refused(404, ""),
        }
    }

    fn resolve(&mut self, path: &str, asked: &Asked, storage: SocketAddr) -> Reply {
        if self.is_gated {
            return Reply::refused(403, "GatedRepo");
        }
        let Some(bytes) = self.files.get(path) else {
            return Reply::refused(404, "EntryNotFound");
        };
        let location = if self.loops {
            asked.target.clone()
        } else if self.redirects {
            format!("http://{storage}/blob/{path}?sig=lets-anybody-in")
        } else {
            return self.file(path, asked);
        };
        let sha256 = self.listed_sha256.clone().unwrap_or_else(|| digest(bytes));
        let headers = [
            ("location", location),
            ("x-linked-size", bytes.len().to_string()),
            ("x-linked-etag", format!("\"{sha256}\"")),
            ("x-repo-commit", self.commit.clone()),
        ];
        Reply::new(302, own(headers), b"Found. Redirecting.".to_vec())
    }

    fn file(&mut self, path: &str, asked: &Asked) -> Reply {
        let Some(bytes) = self.files.get(path) else {
            return Reply::refused(404, "");
        };
        let mut headers: Vec<(String, String)> = Vec::new();
        headers.extend(self.etag.clone().map(|tag| ("etag".to_owned(), tag)));
        let condition = asked.headers.get("if-range");
        let is_same = condition.is_none() || condition == self.etag.as_ref();
        let from = asked
            .headers
            .get("range")
            .filter(|_| self.has_ranges && is_same)
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            });
        let (status, mut body) = match from {
            Some(from) if from >= bytes.len() => return Reply::new(416, headers, Vec::new()),
            Some(from) => {
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                headers.push(("content-range".to_owned(), range));
                (206, bytes.get(from..).unwrap_or_default().to_vec())
            }
            None => (200, bytes.clone()),
        };
        body.extend(std::iter::repeat_n(0, self.surplus));
        if !self.hides_length {
            let length = self.announced.unwrap_or(body.len() as u64);
            headers.push(("content-length".to_owned(), length.to_string()));
        }
        Reply {
            status,
            headers,
            body,
            cut: self.cuts.pop_front(),
            holds: self.holds,
        }
    }
}

// === impl Asked ===

impl Asked {
    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn read(stream: &mut TcpStream, of_storage: bool) -> io::Result<Self> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let target = lines.next().and_then(|line| line.split(' ').nth(1));
        Ok(Self {
            of_storage,
            target: target.unwrap_or_default().to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
        })
    }
}

// === impl Shared ===

impl Shared {
    fn serve(&self, mut stream: TcpStream, of_storage: bool) -> io::Result<()> {
        let asked = Asked::read(&mut stream, of_storage)?;
        self.asked.lock().push(asked.clone());
        let reply = self.shelves.lock().answer(&asked, self.storage);
        let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", reply.status);
        for (name, value) in &reply.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        let sent = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
        let (first, second) = reply
            .body
            .get(..sent)
            .unwrap_or_default()
            .split_at(sent / 2);
        stream.write_all(first)?;
        if reply.holds {
            let mut is_held = self.is_held.lock();
            *is_held = true;
            self.turn.notify_all();
            while *is_held {
                self.turn.wait(&mut is_held);
            }
        }
        stream.write_all(second)?;
        stream.flush()?;
        stream.shutdown(Shutdown::Write)?;
        // What the peer still sends is read, so that closing does not take back what it has not read yet.
        let mut rest = [0; 256];
        while stream.read(&mut rest)? > 0 {}
        Ok(())
    }
}

// === impl Reply ===

impl Reply {
    fn new(status: u16, mut headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        if !headers.iter().any(|(name, _)| name == "content-length") {
            headers.push(("content-length".to_owned(), body.len().to_string()));
        }
        Self {
            status,
            headers,
            body,
            cut: None,
            holds: false,
        }
    }

    fn json(text: String) -> Self {
        let headers = own([("content-type", "application/json".to_owned())]);
        Self::new(200, headers, text.into_bytes())
    }

    fn refused(status: u16, code: &str) -> Self {
        let code = (!code.is_empty()).then(|| ("x-error-code".to_owned(), code.to_owned()));
        Self::new(status, code.into_iter().collect(), Vec::new())
    }
}

fn own<const N: usize>(headers: [(&str, String); N]) -> Vec<(String, String)> {
    headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// SHA-256 in hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
    Sha256::digest(bytes)
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
