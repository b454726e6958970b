//! Getting model files: which file a name means, a download that may be cut at any byte, and the folder they lie in.
//!
//! Owns the names that people write ([`Name`]), the protocol of a Hugging Face compatible hub ([`Hub`]), the transfer
//! with its checksum ([`Puller`]), the models folder with a manifest beside each file ([`Store`]), what a GGUF header
//! says about a model ([`Facts`]), and a short list of good small models ([`curated`]).
//!
//! It loads no model and knows nothing of the gateway, of settings files or of the terminal: events go to a function of
//! the caller's. A file has its name only once every byte of it is on the disk and its checksum is right.

mod address;
mod curated;
mod disk;
mod download;
mod facts;
mod fetch;
mod hub;
mod manifest;
mod name;
mod near;
mod part;
mod pick;
mod pull;
mod size;
mod store;

pub use self::{
    address::Address,
    curated::{Curated, curated},
    disk::{Disk, LocalDisk},
    download::{Event, Listener, Patience},
    facts::{Facts, Memory, memory},
    hub::{Hub, HubOptions, Listing, PUBLIC_HUB, RemoteFile},
    manifest::{Manifest, Origin},
    name::{Choice, Name, Repository},
    pick::quantization_of,
    pull::{Pulled, Puller},
    size::shown as shown_size,
    store::{Checked, Installed, Store, Unfinished},
};
