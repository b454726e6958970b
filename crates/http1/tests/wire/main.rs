//! The connection as a client sees it, byte by byte, on an in-memory socket and a paused clock.

mod exchange;
mod framing;
mod hostile;
mod support;
