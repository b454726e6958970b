//! Each fault, seen from the near side, against a peer that answers a known text.

use super::*;
use tokio::time::{Instant, timeout};

const TEXT: &[u8] =
    b"The quick brown fox jumps over the lazy dog, and nothing of it is lost on the way.";
const SOON: Duration = Duration::from_secs(10);

/// A peer that sends the text to each connection after its first byte, and closes.
async fn peer() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut first = [0];
                if stream.read_exact(&mut first).await.is_ok() {
                    stream.write_all(TEXT).await.unwrap_or_default();
                }
            });
        }
    });
    addr
}

/// What arrives through the proxy, and how reading ended.
async fn through(faults: Faults, seed: u64) -> (Vec<u8>, io::Result<usize>) {
    let proxy = Proxy::start(peer().await, faults, seed).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
    stream.write_all(b"?").await.unwrap();
    let mut got = Vec::new();
    let ended = timeout(SOON, stream.read_to_end(&mut got)).await.unwrap();
    (got, ended)
}

#[tokio::test]
async fn without_faults_and_with_slow_ones_every_byte_passes() {
    let slow = Faults {
        latency: Duration::from_millis(20),
        jitter: Duration::from_millis(20),
        bytes_per_second: Some(2000),
        slice: Some(3),
        ..Faults::default()
    };
    assert_eq!(through(Faults::default(), 1).await.0, TEXT);
    let begin = Instant::now();
    assert_eq!(through(slow, 1).await.0, TEXT);
    // Twice the latency, and the text at 2,000 bytes a second.
    assert!(begin.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_reset_comes_after_its_byte_and_is_no_orderly_end() {
    let faults = Faults {
        after: Some((10, Break::Reset)),
        ..Faults::default()
    };
    let (got, ended) = through(faults, 1).await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    // A reset may overtake what was sent before it.
    assert!(TEXT[..10].starts_with(&got));
}

#[tokio::test]
async fn a_half_close_is_an_orderly_end_after_its_byte() {
    let faults = Faults {
        after: Some((10, Break::HalfClose)),
        ..Faults::default()
    };
    let (got, ended) = through(faults, 1).await;
    assert_eq!((got.as_slice(), ended.unwrap()), (&TEXT[..10], 10));
}

#[tokio::test]
async fn a_black_hole_swallows_the_rest_and_closes_nothing() {
    let faults = Faults {
        after: Some((10, Break::BlackHole)),
        ..Faults::default()
    };
    let proxy = Proxy::start(peer().await, faults, 1).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
    stream.write_all(b"?").await.unwrap();
    let mut got = [0; 10];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, TEXT[..10]);
    let more = timeout(Duration::from_millis(200), stream.read_u8()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn the_same_seed_turns_over_the_same_bits() {
    let faults = Faults {
        flip_every: Some(8),
        ..Faults::default()
    };
    let first = through(faults, 7).await.0;
    assert_eq!(first.len(), TEXT.len());
    assert_ne!(first, TEXT);
    assert_eq!(first, through(faults, 7).await.0);
    assert_ne!(first, through(faults, 8).await.0);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let faults = Faults {
        most_connections: Some(1),
        ..Faults::default()
    };
    let proxy = Proxy::start(peer().await, faults, 1).await.unwrap();
    let mut first = TcpStream::connect(proxy.addr).await.unwrap();
    let mut second = TcpStream::connect(proxy.addr).await.unwrap();
    let mut got = Vec::new();
    let ended = timeout(SOON, second.read_to_end(&mut got)).await.unwrap();
    assert_eq!((ended.unwrap_or(0), proxy.refused()), (0, 1));
    first.write_all(b"?").await.unwrap();
    first.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, TEXT);
}
