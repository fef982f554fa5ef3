//! The engine whole, under virtual time, over a virtual transport and a store in memory.

mod crash;
mod decisions;
mod fewest_calls;
mod fixtures;
mod simulation;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{
    DispatchError, DispatchSettings, EndReason, Event, MaximumErrors, Observer, Progress, Spent, StopRequest, dispatch,
};
use crate::api::{ApiRequest, Transport};
use crate::call::WaitCause;
use crate::clock::{BootTime, SharedClock, sleep_until};
use crate::model::Bucket;
use crate::store::{RunKey, Store, StoreError};
