//! What an engine may take of the machine, and how many callers it serves.

use std::time::Duration;

use crate::room::Room;

/// Set once for an engine. The defaults suit a small model on a machine with other work.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that compute; `None`: one fewer than there are cores.
    pub threads: Option<usize>,
    /// The most tokens of a sequence where the model takes more; `None`: as many as the model takes.
    pub window: Option<u32>,
    /// Bytes of keys and values, for the sequences that run and for prompts that begin as former ones did. A whole window
    /// is the least.
    pub cache: u64,
    /// Sequences in one pass.
    pub parallel: usize,
    /// Requests that wait for a place among them; those beyond are refused as `Busy`.
    pub queue: usize,
    /// The model is freed when no request has come for so long.
    pub idle: Duration,
    /// The memory that it shares with other models.
    pub room: Room,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Options {
        Options {
            threads: None,
            window: None,
            cache: 1 << 30,
            parallel: 16,
            queue: 64,
            idle: Duration::from_mins(5),
            room: Room::boundless(),
        }
    }
}

impl Options {
    /// Whether both say the same, each of a room of its own or of the same one.
    pub fn says_the_same(&self, other: &Options) -> bool {
        let of = |options: &Options| {
            let Options {
                threads,
                window,
                cache,
                parallel,
                queue,
                idle,
                room,
            } = options;
            (
                *threads,
                *window,
                *cache,
                *parallel,
                *queue,
                *idle,
                room.most(),
            )
        };
        of(self) == of(other)
    }
}
