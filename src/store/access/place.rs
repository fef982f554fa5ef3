//! Where a state is: in a directory of this machine, or on a server that several hosts share.

use std::path::{Path, PathBuf};

use crate::clock::SharedClock;
use crate::store::{Patience, Reader, ServerAddress, Store, StoreError};

/// Where a state is.
#[derive(Clone, Debug)]
pub(crate) enum StatePlace {
    /// In a directory of this machine.
    Directory(PathBuf),
    /// In a database on a server.
    Server(Box<ServerAddress>),
}

impl StatePlace {
    /// Opens or makes the state there. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be used.
    pub(crate) async fn open(&self, clock: SharedClock) -> Result<Store, StoreError> {
        match self {
            Self::Directory(directory) => Store::open(directory, clock).await,
            Self::Server(address) => Store::open_on(address, clock).await,
        }
    }

    /// Opens it to be read; `None` when there is none yet. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be used.
    pub(crate) async fn read(&self) -> Result<Option<Reader>, StoreError> {
        match self {
            Self::Directory(directory) => Reader::open(directory).await,
            Self::Server(address) => Reader::open_on(address).await,
        }
    }

    /// Makes the state there, or brings its tables up to date. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be used.
    pub(crate) async fn prepare(&self, clock: SharedClock) -> Result<(), StoreError> {
        match self {
            Self::Directory(directory) => Store::open(directory, clock).await?.put_in_order().await.map_or(Ok(()), Err),
            Self::Server(address) => Store::prepare_on(address, Patience::default()).await,
        }
    }

    /// The directory, if it is one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(directory) => Some(directory),
            Self::Server(_) => None,
        }
    }

    /// The file that the password of a server comes from, if it comes from one.
    pub(crate) fn password_file(&self) -> Option<&Path> {
        match self {
            Self::Directory(_) => None,
            Self::Server(address) => address.password_file(),
        }
    }

    /// How it is called in messages: a path, or an address.
    pub(crate) fn name(&self) -> PathBuf {
        match self {
            Self::Directory(directory) => directory.clone(),
            Self::Server(address) => address.name(),
        }
    }
}
