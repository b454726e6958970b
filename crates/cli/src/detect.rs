//! Model servers on this machine: asked at their usual ports, named when they answer as one.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tollgate_catalog::{Catalog, ProviderRow};
use tollgate_config::{Config, Provider, Reach};

/// A server that needs longer than this to list its models is not waited for: the start is quick.
const PATIENCE: Duration = Duration::from_millis(150);
/// What is read of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// Adds the local servers that were found and that nothing in the configuration names or switches off.
///
/// `environment` may hold a key for a server of that kind.
pub(crate) async fn add_local_servers(config: &mut Config, environment: &BTreeMap<String, String>) {
    if !config.detect_local_servers {
        return;
    }
    let rows = Catalog::builtin()
        .providers()
        .iter()
        .filter(|row| is_wanted(config, row));
    let candidates = rows.filter_map(|row| Some((row, Provider::detected(row, environment)?)));
    let probes: Vec<_> = candidates
        .map(|(row, provider)| {
            (
                tokio::spawn(answers(row, provider.base_url.join(""))),
                provider,
            )
        })
        .collect();
    for (probe, provider) in probes {
        if probe.await.unwrap_or(false) {
            config.providers.insert(provider.name.clone(), provider);
        }
    }
}

fn is_wanted(config: &Config, row: &ProviderRow) -> bool {
    let Some(port) = row.local_port else {
        return false;
    };
    let is_own_port = config.server.listen.port() == port;
    let is_configured = config.providers.values().any(|provider| {
        provider.name == row.id
            || (provider.base_url.reach() == Reach::Loopback && provider.base_url.port() == port)
    });
    !is_own_port && !is_configured && !config.disabled_providers.contains(&row.id)
}

/// Whether a server of this row's kind answers below `root`.
async fn answers(row: &'static ProviderRow, root: String) -> bool {
    let (Some(port), Some(path)) = (row.local_port, &row.endpoints.models) else {
        return false;
    };
    let base = root
        .splitn(4, '/')
        .nth(3)
        .map(|rest| format!("/{rest}"))
        .unwrap_or_default();
    timeout(PATIENCE, lists_models(port, &format!("{base}{path}")))
        .await
        .ok()
        .flatten()
        .is_some()
}

/// Whether the server at this port answers with a list of models. Other programs like these ports, too.
async fn lists_models(port: u16, target: &str) -> Option<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    let request = format!(
        "GET {target} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while answer.len() < MAX_ANSWER {
        let read = stream.read(&mut buffer).await.ok()?;
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..read]);
        if is_model_list(&answer) {
            return Some(());
        }
    }
    None
}

fn is_model_list(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    head.split(' ').nth(1) == Some("200")
        && body.contains("\"object\"")
        && body.contains("\"list\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_list_of_models_is_taken_for_a_model_server() {
        assert!(is_model_list(
            b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"object\":\"list\",\"data\":[]}"
        ));
        assert!(!is_model_list(
            b"HTTP/1.1 404 Not Found\r\n\r\n{\"object\":\"list\"}"
        ));
        assert!(!is_model_list(
            b"HTTP/1.1 200 OK\r\n\r\n<html>\"object\"</html>"
        ));
        assert!(!is_model_list(b"HTTP/1.1 200 OK\r\n"));
    }
}
