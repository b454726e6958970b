//! The text of `strace -f -ttt -T -y -xx`: lines in, calls of the system out. It knows how strace writes, not what
//! the calls mean.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::disk::{Micros, Span};

/// One call, whole or cut off by the death of its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) thread: u32,
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    /// `None` when it did not return; below zero when it failed.
    pub(super) returned: Option<i64>,
    pub(super) span: Span,
}

/// What the trial asks of strace: the data of every write, whole, and the path of every descriptor. A filter in the
/// kernel lets all other calls through at full speed.
pub(super) const OPTIONS: [&str; 10] = [
    "-D",
    "-f",
    "-ttt",
    "-T",
    "-y",
    "-xx",
    "-s",
    "4194304",
    "--seccomp-bpf",
    "-o",
];
/// Every call that can change a file, make a change durable, or change what a descriptor stands for.
pub(super) const TRACED: &str = "trace=open,openat,openat2,creat,close,close_range,dup,dup2,dup3,fcntl,\
    read,readv,write,writev,pwrite64,pwritev,pwritev2,lseek,ftruncate,truncate,fallocate,\
    rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat,\
    fsync,fdatasync,sync,syncfs,mmap,sendfile,copy_file_range,splice,\
    io_uring_setup,io_setup,clone,clone3,fork,vfork,execve";

/// The beginning of a call that another thread's line interrupted.
struct Unfinished {
    name: String,
    text: String,
    began: Micros,
    began_as: usize,
}

/// Reads a whole recording; `first` is the number of its first line in the order of several.
pub(super) fn calls(reader: impl BufRead, first: usize) -> Result<Vec<Call>, String> {
    let mut calls = Vec::new();
    let mut unfinished: BTreeMap<u32, Unfinished> = BTreeMap::new();
    for (line, number) in reader.lines().zip(first..) {
        let line = line.map_err(|error| format!("the recording cannot be read: {error}"))?;
        let cannot = || {
            let start: String = line.chars().take(120).collect();
            format!("the recording has a line that is not understood: {start}")
        };
        let (thread, at, rest) = head(&line).ok_or_else(cannot)?;
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        let (begun, rest) = if let Some(resumed) = rest.strip_prefix("<... ") {
            let (_, rest) = resumed.split_once(" resumed>").ok_or_else(cannot)?;
            (unfinished.remove(&thread).ok_or_else(cannot)?, rest)
        } else {
            let (name, rest) = rest.split_once('(').ok_or_else(cannot)?;
            let begun = Unfinished {
                name: name.to_owned(),
                text: String::new(),
                began: at,
                began_as: number,
            };
            (begun, rest)
        };
        if let Some(part) = rest.strip_suffix("<unfinished ...>") {
            let text = begun.text + part;
            unfinished.insert(thread, Unfinished { text, ..begun });
            continue;
        }
        calls.push(finish(thread, begun, rest, (at, number)).ok_or_else(cannot)?);
    }
    // What a kill interrupted: with the arguments that were printed.
    calls.extend(unfinished.into_iter().map(|(thread, begun)| Call {
        thread,
        arguments: arguments(&(begun.text + ")")).map_or_else(Vec::new, |(found, _)| found),
        name: begun.name,
        returned: None,
        span: Span {
            began: begun.began,
            began_as: begun.began_as,
            ended: None,
        },
    }));
    Ok(calls)
}

/// `PID SECONDS.MICROS REST`.
fn head(line: &str) -> Option<(u32, Micros, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (time, rest) = rest.trim_start().split_once(' ')?;
    let (seconds, micros) = time.split_once('.')?;
    let at = seconds.parse::<Micros>().ok()? * 1_000_000 + micros.parse::<Micros>().ok()?;
    Some((thread.parse().ok()?, at, rest))
}

fn finish(
    thread: u32,
    begun: Unfinished,
    rest: &str,
    (at, number): (Micros, usize),
) -> Option<Call> {
    let is_resumed = number != begun.began_as;
    let text = begun.text + rest;
    let (arguments, rest) = arguments(&text)?;
    let answer = rest.trim_start().strip_prefix('=')?.trim_start();
    let digits: String = answer
        .chars()
        .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
        .collect();
    let returned = match digits.strip_prefix("0x") {
        Some(address) => Some(i64::from_str_radix(address, 16).unwrap_or(i64::MAX)),
        None => digits.parse().ok(),
    };
    // `= ?`: killed inside of it. The time it took stands at the end, unless it is not known.
    let took = answer
        .rsplit_once('<')
        .and_then(|(_, took)| took.strip_suffix('>')?.parse::<f64>().ok());
    let ended = if is_resumed {
        at
    } else {
        at + took.map_or(0, micros)
    };
    Some(Call {
        thread,
        name: begun.name,
        arguments,
        returned,
        span: Span {
            began: begun.began,
            began_as: begun.began_as,
            ended: returned.map(|_| (ended, number)),
        },
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of one call, never negative"
)]
fn micros(seconds: f64) -> Micros {
    (seconds * 1e6).round() as Micros
}

/// The arguments up to the closing parenthesis, and what follows it.
fn arguments(text: &str) -> Option<(Vec<String>, &str)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut depth, mut from, mut at) = (0_usize, 0, 0);
    loop {
        match bytes.get(at)? {
            // No string or path has its own closing mark in it: those bytes are written in hexadecimal.
            b'"' => at += 1 + text.get(at + 1..)?.find('"')?,
            b'<' => at += text.get(at..)?.find('>')?,
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                let last = text.get(from..at)?.trim();
                if !(last.is_empty() && found.is_empty()) {
                    found.push(last.to_owned());
                }
                return Some((found, text.get(at + 1..)?));
            }
            b')' | b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                found.push(text.get(from..at)?.trim().to_owned());
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
}

/// The bytes of a string argument. One that strace cut short is an error.
pub(super) fn string(argument: &str) -> Result<Vec<u8>, String> {
    let inner = argument
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or_else(|| {
            let start: String = argument.chars().take(40).collect();
            format!("the recording has no whole string at {start}")
        })?;
    hexadecimal(inner).ok_or_else(|| "a string of the recording is not in hexadecimal".to_owned())
}

/// The strings of `[{iov_base="…", iov_len=N}, …]`, one after the other.
pub(super) fn vectors(argument: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for part in argument.split("iov_base=").skip(1) {
        let (text, _) = part
            .split_once(", iov_len")
            .ok_or("the recording has vectors without a length")?;
        bytes.extend(string(text)?);
    }
    Ok(bytes)
}

/// A descriptor and the path that strace says it stands for, if it is one of a file: `7</path>`, `AT_FDCWD</path>`.
pub(super) fn descriptor(argument: &str) -> (Option<i64>, Option<String>) {
    let (number, path) = match argument.split_once('<') {
        Some((number, rest)) => (number, rest.rsplit_once('>').map(|(path, _)| path)),
        None => (argument, None),
    };
    // With `-xx` a path is in hexadecimal too, in some versions.
    let path = path.and_then(|path| {
        if path.starts_with('\\') {
            return Some(String::from_utf8_lossy(&hexadecimal(path)?).into_owned());
        }
        Some(path.to_owned())
    });
    (
        number.parse().ok(),
        path.filter(|path| path.starts_with('/')),
    )
}

/// `\x41\x42…`
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    const ZERO: &[u8] = b"\\x00";
    let text = text.as_bytes();
    // A reserve of megabytes of zeros goes quickly.
    if text.starts_with(ZERO) && text.len().is_multiple_of(4) && text[4..] == text[..text.len() - 4]
    {
        return Some(vec![0; text.len() / 4]);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len() / 4);
    for part in text.chunks(4) {
        let &[b'\\', b'x', high, low] = part else {
            return None;
        };
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Call> {
        calls(text.as_bytes(), 0).unwrap()
    }

    #[test]
    fn a_call_on_one_line_has_its_arguments_and_its_end() {
        let line = r#"61  1795284516.734165 pwrite64(4</tmp/a, (b)/x>, "\x00\xff", 512, 0) = 512 <0.000018>"#;
        let [call] = &read(line)[..] else { panic!() };
        assert_eq!((call.thread, call.name.as_str()), (61, "pwrite64"));
        assert_eq!(
            call.arguments,
            ["4</tmp/a, (b)/x>", r#""\x00\xff""#, "512", "0"]
        );
        assert_eq!(
            descriptor(&call.arguments[0]),
            (Some(4), Some("/tmp/a, (b)/x".to_owned()))
        );
        assert_eq!(
            descriptor(r"5<\x2f\x61>(deleted)"),
            (Some(5), Some("/a".to_owned()))
        );
        assert_eq!(string(&call.arguments[1]).unwrap(), [0, 255]);
        assert_eq!(call.returned, Some(512));
        let at = 1_795_284_516_734_165;
        assert_eq!((call.span.began, call.span.ended), (at, Some((at + 18, 0))));
    }

    #[test]
    fn a_call_that_others_interrupt_is_put_together() {
        let text = "1  5.000001 fsync(3</d/a> <unfinished ...>\n\
                    2  5.000005 write(4</d/b>, \"\\x41\", 1 <unfinished ...>\n\
                    1  5.000009 <... fsync resumed>) = 0 <0.000008>\n\
                    2  5.000010 <... write resumed>) = ?\n\
                    3  5.000020 fdatasync(3</d/a> <unfinished ...>\n\
                    3  5.000030 +++ killed by SIGKILL +++\n";
        let found = read(text);
        assert_eq!(found.len(), 3);
        let ends = |call: &Call| (call.span.began, call.span.began_as, call.span.ended);
        assert_eq!(ends(&found[0]), (5_000_001, 0, Some((5_000_009, 2))));
        assert_eq!(
            (found[1].returned, ends(&found[1])),
            (None, (5_000_005, 1, None))
        );
        assert_eq!(found[1].arguments, ["4</d/b>", "\"\\x41\"", "1"]);
        assert_eq!(
            (found[2].returned, ends(&found[2])),
            (None, (5_000_020, 4, None))
        );
        assert_eq!(found[2].arguments, ["3</d/a>"]);
    }

    #[test]
    fn vectors_are_joined_and_failures_are_told() {
        let text = "1  5.000001 pwritev(3</d/a>, [{iov_base=\"\\x41\\x42\", iov_len=2}, {iov_base=\"\\x43\", iov_len=1}], 2, 7) = 3 <0.1>\n\
                    1  5.2 openat(AT_FDCWD</d>, \"\\x61\", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000001>\n";
        let found = read(text);
        assert_eq!(vectors(&found[0].arguments[1]).unwrap(), b"ABC");
        assert_eq!(found[1].returned, Some(-1));
        assert_eq!(
            descriptor(&found[1].arguments[0]),
            (None, Some("/d".to_owned()))
        );
    }

    #[test]
    fn what_strace_cut_short_is_an_error() {
        assert!(string(r#""\x41"..."#).is_err());
        assert!(string("NULL").is_err());
        assert!(calls("1  5.000001 write(3, \"\\x4".as_bytes(), 0).is_err());
    }
}
