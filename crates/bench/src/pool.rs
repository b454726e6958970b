//! The connections of a load generator: one thread, one prepared request.
//!
//! A connection that the server closes is opened again at once; if a request
//! was under way on it, that request counts as failed.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::wire::MessageReader;

/// What is asked, of whom, and what a good answer is.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
    /// The fewest server-sent events of a complete answer; 0 for a plain body.
    pub(crate) least_events: usize,
}

/// One request that came to its end.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) connection: usize,
    pub(crate) good: bool,
    pub(crate) latency: Duration,
    pub(crate) events: usize,
    pub(crate) body_bytes: usize,
}

pub(crate) struct Pool {
    question: Question,
    poll: Poll,
    ready: Events,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    /// Requests whose answer has begun and not ended.
    open: usize,
    peak_open: usize,
    /// What the first failed request met, for the message.
    first_failure: Option<String>,
}

struct Connection {
    stream: TcpStream,
    reader: MessageReader,
    count: EventCount,
    /// How much of the request is out; `None` while there is none.
    written: Option<usize>,
    begun: bool,
    body_bytes: usize,
    due: Instant,
}

#[derive(Debug, Default)]
struct EventCount {
    events: usize,
    after_newline: bool,
}

impl Pool {
    pub(crate) fn new(question: Question) -> io::Result<Self> {
        Ok(Self {
            question,
            poll: Poll::new()?,
            ready: Events::with_capacity(1024),
            connections: Vec::new(),
            scratch: vec![0; 64 * 1024],
            open: 0,
            peak_open: 0,
            first_failure: None,
        })
    }

    /// Opens one more connection and returns its place.
    pub(crate) fn open(&mut self) -> io::Result<usize> {
        let at = self.connections.len();
        let connection = self.connect(at)?;
        self.connections.push(connection);
        Ok(at)
    }

    /// Sends the request; its latency counts from `due`.
    pub(crate) fn send(&mut self, at: usize, due: Instant) {
        let connection = &mut self.connections[at];
        connection.due = due;
        connection.written = Some(0);
        // A failure shows again, as an event, when the answer is awaited.
        if let Err(error) = connection.write(&self.question.request) {
            self.first_failure.get_or_insert_with(|| error.to_string());
        }
    }

    /// Waits at most `wait` and moves every connection that can move.
    pub(crate) fn turn(
        &mut self,
        wait: Option<Duration>,
        finished: &mut Vec<Finished>,
    ) -> io::Result<()> {
        let mut ready = std::mem::replace(&mut self.ready, Events::with_capacity(0));
        match self.poll.poll(&mut ready, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &ready {
            self.advance(event.token().0, event.is_read_closed(), finished)?;
        }
        self.ready = ready;
        Ok(())
    }

    pub(crate) fn peak_open(&self) -> usize {
        self.peak_open
    }

    pub(crate) fn first_failure(&self) -> Option<&str> {
        self.first_failure.as_deref()
    }

    fn connect(&self, at: usize) -> io::Result<Connection> {
        let stream = std::net::TcpStream::connect(self.question.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(
            &mut stream,
            Token(at),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(Connection {
            stream,
            reader: MessageReader::default(),
            count: EventCount::default(),
            written: None,
            begun: false,
            body_bytes: 0,
            due: Instant::now(),
        })
    }

    fn advance(&mut self, at: usize, to_end: bool, finished: &mut Vec<Finished>) -> io::Result<()> {
        let connection = &mut self.connections[at];
        let had_begun = connection.begun;
        let mut outcome = connection.write(&self.question.request);
        if outcome.is_ok() {
            outcome = connection.read(&mut self.scratch, to_end);
        }
        if connection.begun && !had_begun {
            self.open += 1;
            self.peak_open = self.peak_open.max(self.open);
        }
        let complete = connection.reader.done();
        let lost = outcome.is_err();
        if !complete && !lost {
            return Ok(());
        }
        if connection.begun {
            self.open -= 1;
        }
        if connection.written.is_some() {
            let status = connection.reader.status();
            let events = connection.count.events;
            let good = complete && status == 200 && events >= self.question.least_events;
            if !good {
                let message = match outcome {
                    Err(error) if !complete => error.to_string(),
                    _ => format!("status {status} with {events} events"),
                };
                self.first_failure.get_or_insert(message);
            }
            finished.push(Finished {
                connection: at,
                good,
                latency: connection.due.elapsed(),
                events,
                body_bytes: connection.body_bytes,
            });
        }
        if lost || connection.reader.closes() {
            self.connections[at] = self.connect(at)?;
        } else {
            connection.rest();
        }
        Ok(())
    }
}

impl Connection {
    fn write(&mut self, request: &[u8]) -> io::Result<()> {
        let Some(mut written) = self.written else {
            return Ok(());
        };
        while written < request.len() {
            match self.stream.write(&request[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.written = Some(written);
        Ok(())
    }

    fn read(&mut self, scratch: &mut [u8], to_end: bool) -> io::Result<()> {
        while !self.reader.done() {
            let count = match self.stream.read(scratch) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection",
                    ));
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let (events, bytes) = (&mut self.count, &mut self.body_bytes);
            let used = self.reader.feed(&scratch[..count], |piece| {
                events.add(piece);
                *bytes += piece.len();
            })?;
            if used < count {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the server sent more than one answer",
                ));
            }
            self.begun |= self.body_bytes > 0;
            // A short read emptied the socket: the next edge announces what comes later.
            if count < scratch.len() && !to_end {
                break;
            }
        }
        Ok(())
    }

    fn rest(&mut self) {
        self.reader.reset();
        self.count = EventCount::default();
        self.written = None;
        self.begun = false;
        self.body_bytes = 0;
    }
}

impl EventCount {
    /// Counts the blank lines, which end events.
    fn add(&mut self, piece: &[u8]) {
        for at in memchr::memchr_iter(b'\n', piece) {
            let doubled = if at == 0 {
                self.after_newline
            } else {
                piece[at - 1] == b'\n'
            };
            self.events += usize::from(doubled);
        }
        if let Some(last) = piece.last() {
            self.after_newline = *last == b'\n';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_events_at_every_split() {
        let stream = b"data: {\"a\":1}\n\ndata: b\n\ndata: [DONE]\n\n";
        for split in 0..=stream.len() {
            let mut count = EventCount::default();
            count.add(&stream[..split]);
            count.add(&stream[split..]);
            assert_eq!(count.events, 3, "split at {split}");
        }
    }
}
