//! What is measured: one load per row of the table, and against whom.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The server that a load is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Subject {
    Direct,
    Nginx,
    Tollgate,
}

/// One load. The name is what the results file calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// 1 KB bodies both ways at saturation.
    Small,
    /// 20 KB bodies both ways at saturation.
    Large,
    /// Streams of 100 events, one each 10 ms, 200 at a time.
    PacedStream,
    /// Streams of 100 events as fast as they go.
    BurstStream,
    /// 1 KB bodies at a fixed rate, far below saturation.
    Latency,
    /// Many slow streams open at once.
    OpenStreams,
}

impl Measure {
    pub(crate) const ALL: [Self; 6] = [
        Self::Small,
        Self::Large,
        Self::PacedStream,
        Self::BurstStream,
        Self::Latency,
        Self::OpenStreams,
    ];

    /// Events with content in each streamed answer; 0 for plain bodies.
    pub(crate) fn chunks(self) -> usize {
        match self {
            Self::PacedStream | Self::BurstStream => 100,
            Self::OpenStreams => 16,
            Self::Small | Self::Large | Self::Latency => 0,
        }
    }

    pub(crate) fn model(self) -> &'static str {
        match self {
            Self::Small | Self::Latency => "size:1024",
            Self::Large => "size:20480",
            Self::PacedStream => "many:100:10",
            Self::BurstStream => "many:100",
            Self::OpenStreams => "many:16:500",
        }
    }

    pub(crate) fn body_bytes(self) -> usize {
        if self == Self::Large { 20480 } else { 1024 }
    }

    /// Nothing is learnt from the memory of the scripted provider.
    pub(crate) fn includes(self, subject: Subject) -> bool {
        self != Self::OpenStreams || subject != Subject::Direct
    }

    /// The arguments that give the load its shape; `scale` multiplies the counted requests.
    pub(crate) fn shape(self, scale: f64) -> Vec<String> {
        let counted = |requests: u32| (f64::from(requests) * scale).round().max(1.0) as u32;
        let closed = |connections: u32, warm_up: u32, requests: u32, ramp_ms: u32| {
            vec![
                "closed".to_owned(),
                format!("--connections={connections}"),
                format!("--warm-up={warm_up}"),
                format!("--requests={requests}"),
                format!("--ramp-ms={ramp_ms}"),
            ]
        };
        match self {
            Self::Small => closed(32, 4000, counted(40_000), 0),
            Self::Large => closed(32, 2000, counted(20_000), 0),
            Self::PacedStream => closed(200, 200, counted(600), 1000),
            Self::BurstStream => closed(32, 64, counted(600), 0),
            Self::OpenStreams => closed(1000, 0, 1000, 1500),
            Self::Latency => {
                vec![
                    "open".to_owned(),
                    "--per-second=200".to_owned(),
                    format!("--duration-ms={}", counted(10_000)),
                ]
            }
        }
    }
}
