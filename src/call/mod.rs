//! One call, whole: admit, send, judge, settle, wait, again; over any [`Transport`](crate::api::Transport).
//!
//! A call knows the operations that it carries by number only, and no rows. It returns when it has an outcome, when the
//! run drains, or when nothing sent after it can succeed; on the way it reports its phases. Its effects are on the disk
//! before anybody hears of them. What surprises: a call that is stopped leaves its operations as they stand in the
//! store, so that a resumed run sends them again.

mod backoff;
mod blocking;
mod caller;
mod earlier;
mod effect;
mod gate;
mod judge;
mod memory;
mod outage;
mod proof;
mod protocol;
mod retry_after;

pub(crate) use blocking::on_blocking_thread;
pub(crate) use caller::Caller;
#[cfg(test)]
pub(crate) use caller::MAXIMUM_ATTEMPTS;
pub(crate) use earlier::{CallId, EarlierTrouble};
pub(crate) use gate::GateSettings;
pub(crate) use judge::{
    AbortReason, ConnectionTrouble, Excess, History, NOT_FOUND_BELIEVED_AFTER, ReadAnswer, RetryReason,
    asks_for_patience, is_disallowed_code, shows_outage,
};
#[cfg(any(test, fuzzing))]
pub(crate) use judge::{Verdict, judge};
pub(crate) use proof::{Proof, Questions};
pub(crate) use protocol::{
    AbortCause, BulkRefusal, Call, CallEnd, CallOperation, CallReport, Notice, OperationEnd, Phase, Repeat,
    RepeatCause, Reports, ServiceTrouble, SignInTrouble, StopReason, Unanswered, WaitCause,
};
