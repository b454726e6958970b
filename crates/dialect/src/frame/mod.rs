//! Framing: where one event of a byte stream ends and the next begins, whatever the chunking.

mod aws;
#[cfg(test)]
mod aws_tests;
mod sse;

pub use aws::{AwsEventFramer, encode_aws_chunk, encode_aws_exception, encode_aws_message};
pub use sse::{Frame, SseFramer};
