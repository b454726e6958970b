//! The scripted provider: one thread, prepared bytes, no JSON read or written.
//!
//! The model name says what to answer: `size:<bytes>` is one JSON body,
//! `many:<chunks>` a stream with each event in a write of its own, and
//! `many:<chunks>:<ms>` the same with a pause before each event but the first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::payload;
use crate::wire::MessageReader;

const LISTENER: Token = Token(usize::MAX);

/// What one model name answers, ready to be written.
#[derive(Debug)]
struct Script {
    /// Written one after another; the first holds the head of the response.
    parts: Vec<Vec<u8>>,
    pause: Duration,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    reader: MessageReader,
    body: Vec<u8>,
    answer: Option<Answer>,
    /// Tells the timers of this connection from those of an earlier one in the same place.
    generation: u64,
}

#[derive(Debug)]
struct Answer {
    script: Rc<Script>,
    part: usize,
    written: usize,
    paused: bool,
}

struct Provider {
    poll: Poll,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    scripts: HashMap<Vec<u8>, Rc<Script>>,
    timers: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    generation: u64,
    scratch: Vec<u8>,
}

/// Serves until the process is ended.
pub(crate) fn serve(address: SocketAddr) -> io::Result<()> {
    let mut listener = TcpListener::bind(address)?;
    let mut provider = Provider {
        poll: Poll::new()?,
        connections: Vec::new(),
        free: Vec::new(),
        scripts: HashMap::new(),
        timers: BinaryHeap::new(),
        generation: 0,
        scratch: vec![0; 64 * 1024],
    };
    provider
        .poll
        .registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    loop {
        let wait = provider
            .timers
            .peek()
            .map(|Reverse((due, ..))| due.saturating_duration_since(Instant::now()));
        if let Err(error) = provider.poll.poll(&mut events, wait)
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        for event in &events {
            if event.token() == LISTENER {
                provider.accept(&listener)?;
            } else {
                provider.advance(event);
            }
        }
        provider.fire_timers();
    }
}

impl Provider {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let at = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.poll.registry().register(
                &mut stream,
                Token(at),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            self.generation += 1;
            self.connections[at] = Some(Connection {
                stream,
                reader: MessageReader::default(),
                body: Vec::new(),
                answer: None,
                generation: self.generation,
            });
        }
    }

    fn advance(&mut self, event: &Event) {
        let at = event.token().0;
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        let mut outcome = connection.write();
        if outcome.is_ok() && (event.is_readable() || event.is_read_closed()) {
            outcome = connection.read(&mut self.scratch, &mut self.scripts, event.is_read_closed());
        }
        self.settle(at, outcome.is_err());
    }

    /// After any step of a connection: forget it, wait for its next event's time, or nothing.
    fn settle(&mut self, at: usize, lost: bool) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        if lost {
            self.connections[at] = None;
            self.free.push(at);
        } else if let Some(answer) = connection.answer.as_mut()
            && answer.part > 0
            && answer.written == 0
            && !answer.paused
            && !answer.script.pause.is_zero()
        {
            answer.paused = true;
            let due = Instant::now() + answer.script.pause;
            self.timers.push(Reverse((due, at, connection.generation)));
        }
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        while let Some(&Reverse((due, at, generation))) = self.timers.peek() {
            if due > now {
                return;
            }
            self.timers.pop();
            let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
                continue;
            };
            if connection.generation != generation {
                continue;
            }
            if let Some(answer) = connection.answer.as_mut() {
                answer.paused = false;
            }
            let outcome = connection.write_one();
            self.settle(at, outcome.is_err());
        }
    }
}

impl Connection {
    /// Reads what is there and starts the answer of each complete request.
    fn read(
        &mut self,
        scratch: &mut [u8],
        scripts: &mut HashMap<Vec<u8>, Rc<Script>>,
        to_end: bool,
    ) -> io::Result<()> {
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut bytes = &scratch[..count];
            while !bytes.is_empty() {
                let used = self
                    .reader
                    .feed(bytes, |piece| self.body.extend_from_slice(piece))?;
                bytes = &bytes[used..];
                if self.reader.done() {
                    let script = script_for(&self.body, scripts);
                    self.answer = Some(Answer {
                        script,
                        part: 0,
                        written: 0,
                        paused: false,
                    });
                    self.body.clear();
                    self.reader.reset();
                    self.write()?;
                }
            }
            // A short read emptied the socket: the next edge announces what comes later.
            if count < scratch.len() && !to_end {
                return Ok(());
            }
        }
    }

    /// Writes until done, full or paused.
    fn write(&mut self) -> io::Result<()> {
        while let Some(answer) = &self.answer {
            let waits = answer.part > 0 && answer.written == 0 && !answer.script.pause.is_zero();
            if waits || !self.write_part()? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes the part whose time has come.
    fn write_one(&mut self) -> io::Result<()> {
        if self.answer.is_some() {
            self.write_part()?;
        }
        Ok(())
    }

    /// Whether the part is out whole.
    fn write_part(&mut self) -> io::Result<bool> {
        let Some(answer) = self.answer.as_mut() else {
            return Ok(false);
        };
        let part = &answer.script.parts[answer.part];
        loop {
            match self.stream.write(&part[answer.written..]) {
                Ok(count) => answer.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if answer.written == part.len() {
                break;
            }
        }
        answer.part += 1;
        answer.written = 0;
        if answer.part == answer.script.parts.len() {
            self.answer = None;
        }
        Ok(true)
    }
}

fn script_for(body: &[u8], scripts: &mut HashMap<Vec<u8>, Rc<Script>>) -> Rc<Script> {
    let model = model_of(body).unwrap_or_default();
    if let Some(script) = scripts.get(model) {
        return Rc::clone(script);
    }
    let script = Rc::new(write_script(&String::from_utf8_lossy(model)));
    scripts.insert(model.to_vec(), Rc::clone(&script));
    script
}

/// The value of the first `"model"` member, found without parsing.
fn model_of(body: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(body, b"\"model\"")? + 7;
    let rest = body[at..]
        .trim_ascii_start()
        .strip_prefix(b":")?
        .trim_ascii_start()
        .strip_prefix(b"\"")?;
    Some(&rest[..memchr::memchr(b'"', rest)?])
}

fn write_script(model: &str) -> Script {
    let mut words = model.split(':');
    let kind = words.next().unwrap_or_default();
    let mut numbers = words.map(str::parse::<usize>);
    let pause = Duration::ZERO;
    match (kind, numbers.next(), numbers.next()) {
        ("size", Some(Ok(bytes)), None) => Script {
            parts: vec![whole("200 OK", &payload::completion(bytes))],
            pause,
        },
        ("many", Some(Ok(chunks)), None) => Script {
            parts: stream(chunks),
            pause,
        },
        ("many", Some(Ok(chunks)), Some(Ok(ms))) => Script {
            parts: stream(chunks),
            pause: Duration::from_millis(ms as u64),
        },
        // Without a model it is a question about the models.
        ("", ..) => Script {
            parts: vec![whole("200 OK", r#"{"object":"list","data":[]}"#)],
            pause,
        },
        _ => {
            let error = r#"{"error":{"message":"The model does not exist","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#;
            Script {
                parts: vec![whole("404 Not Found", error)],
                pause,
            }
        }
    }
}

fn whole(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nx-request-id: req_bench\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn stream(chunks: usize) -> Vec<Vec<u8>> {
    let framed = |event: &String| format!("{:x}\r\n{event}\r\n", event.len()).into_bytes();
    let mut parts: Vec<Vec<u8>> = payload::stream_events(chunks).iter().map(framed).collect();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\nx-request-id: req_bench\r\n\r\n";
    parts[0].splice(0..0, head.bytes());
    if let Some(last) = parts.last_mut() {
        last.extend_from_slice(b"0\r\n\r\n");
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_model_with_and_without_spaces() {
        assert_eq!(model_of(br#"{"model":"size:1"}"#), Some(&b"size:1"[..]));
        assert_eq!(
            model_of(br#"{"stream": true, "model" : "many:2:3" }"#),
            Some(&b"many:2:3"[..])
        );
        assert_eq!(model_of(br#"{"model":7}"#), None);
    }

    #[test]
    fn scripts_are_complete_responses() {
        for (model, status, parts) in [
            ("size:2048", 200, 1),
            ("many:3", 200, 6),
            ("many:3:10", 200, 6),
            ("x", 404, 1),
        ] {
            let script = write_script(model);
            assert_eq!(script.parts.len(), parts, "{model}");
            let bytes = script.parts.concat();
            let mut reader = MessageReader::default();
            let mut body = Vec::new();
            assert_eq!(
                reader
                    .feed(&bytes, |piece| body.extend_from_slice(piece))
                    .unwrap(),
                bytes.len()
            );
            assert!(reader.done());
            assert_eq!(reader.status(), status);
            assert!(!body.is_empty());
        }
    }
}
