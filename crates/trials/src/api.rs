//! An API of the gateway as a trial asks it in plain words: one request, one connection, one JSON answer.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who asks, and for what lies below which path.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    addr: SocketAddr,
    key: String,
    base: &'static str,
}

impl Api {
    /// The admin API, asked as an owner.
    pub(crate) fn admin(addr: SocketAddr, key: &str) -> Self {
        Self {
            addr,
            key: key.to_owned(),
            base: "/admin/v1/",
        }
    }

    /// The Responses API, asked as a caller.
    pub(crate) fn responses(addr: SocketAddr, key: &str) -> Self {
        Self {
            addr,
            key: key.to_owned(),
            base: "/v1/responses",
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, String> {
        self.ask("GET", path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Result<Value, String> {
        self.ask("POST", path, body).await
    }

    /// What arrives of an answer, be it whole or not.
    pub(crate) async fn post_for_text(&self, path: &str, body: &str) -> String {
        self.exchange("POST", path, body).await.0
    }

    fn request(&self, method: &str, path: &str, body: &str) -> String {
        format!(
            "{method} {}{path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            self.base,
            self.addr,
            self.key,
            body.len()
        )
    }

    /// What arrives of an answer, and how that ended.
    async fn exchange(&self, method: &str, path: &str, body: &str) -> (String, Result<(), String>) {
        let request = self.request(method, path, body);
        let mut answer = Vec::new();
        let exchange = async {
            let mut stream = TcpStream::connect(self.addr).await?;
            stream.write_all(request.as_bytes()).await?;
            while stream.read_buf(&mut answer).await? > 0 {}
            Ok::<_, std::io::Error>(())
        };
        let end = match timeout(PATIENCE, exchange).await {
            Ok(end) => end.map_err(|error| error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        };
        (String::from_utf8_lossy(&answer).into_owned(), end)
    }

    /// The body of a good answer; an error when there is none, or it says that it is none.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let (answer, end) = self.exchange(method, path, body).await;
        end.and_then(|()| read(&answer))
            .map_err(|error| format!("{method} {path}: {error}"))
    }
}

fn read(answer: &str) -> Result<Value, String> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or("the answer was cut off")?;
    let is_good = head
        .split(' ')
        .nth(1)
        .is_some_and(|code| code.starts_with('2'));
    if !is_good {
        return Err(format!(
            "{} {body}",
            head.lines().next().unwrap_or_default()
        ));
    }
    serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_good_answer_is_one() {
        let good = "HTTP/1.1 201 Created\r\ncontent-length: 8\r\n\r\n{\"id\":1}";
        assert_eq!(read(good).unwrap()["id"], 1);
        for bad in [
            "",
            "HTTP/1.1 201 Created\r\n",
            "HTTP/1.1 201 Created\r\n\r\n{\"id\"",
            "HTTP/1.1 409 Conflict\r\n\r\n{\"id\":1}",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
