//! One call, whole: admit, send, judge, settle, wait, again; over any [`Transport`](crate::api::Transport).
//!
//! A call knows the operations that it carries by number only, and no rows. It returns when it has an outcome, when the
//! run drains, or when nothing sent after it can succeed; on the way it reports its phases. Its effects are on the disk
//! before anybody hears of them. What surprises: a call that is stopped leaves its operations as they stand in the
//! store, so that a resumed run sends them again.

mod backoff;
mod beside;
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

pub use beside::beside_the_runtime;
pub use caller::{Caller, MAXIMUM_ATTEMPTS};
pub use earlier::{CallId, EarlierTrouble};
pub use gate::GateSettings;
pub use judge::{
    AbortReason, ConnectionTrouble, FailReason, History, MachineVerdict, NOT_FOUND_BELIEVED_AFTER, ReadAnswer,
    RetryReason, SplitReason, Verdict, is_disallowed_code, judge,
};
pub use proof::{Proof, Questions};
pub use protocol::{
    AbortCause, BulkRefusal, Call, CallEnd, CallOperation, CallReport, Notice, OperationEnd, Phase, Repeat,
    RepeatCause, Reports, ServiceTrouble, SignInTrouble, StopReason, WaitCause,
};
