//! What can go wrong with a single call: every status that matters, and answers that are lost before or after the change
//! took effect.

use std::time::Duration;

use crate::api::{Answer, ApiRequest, Loss, LossKind, Response};

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Unavailable503,
    Failed500,
    BadGateway502,
    /// 504 although it was done.
    GatewayTimeout504Done,
    /// 500 although it was done.
    Failed500Done,
    RequestTimeout408,
    RequestTimeout408Done,
    Conflict409,
    Unauthorized401,
    /// The app may not write.
    Forbidden403,
    /// A 404 for once.
    NotFound404Once,
    /// Another refusal of a bulk call.
    Odd431,
    Throttled429Seconds,
    Throttled429Date,
    Throttled429Silent,
    /// 200 with an object that is nobody's.
    Nonsense200,
    Nonsense200Done,
    Html200,
    Html503,
    EmptyListDone,
    NoContent204Done,
    /// Shows only some of the machines.
    PartialListDone,
    NotConnected,
    ConnectionLost,
    ConnectionLostDone,
    TruncatedDone,
    TimedOut,
    TimedOutDone,
    /// Done half a minute after the client gave up.
    TimedOutDoneLate,
    /// A page that is there answers 404.
    PageGone404,
}

/// What becomes of the change that a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Undone,
    Done,
    DoneLate,
}

/// A time, since the command's beginning, in which every call meets the same fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) fault: Fault,
}

/// How long a request may be held on the way after it was given up.
pub(super) const HELD_ON_THE_WAY: Duration = Duration::from_secs(30);

impl Fault {
    /// Those that come one by one.
    pub(super) const ALL: [Self; 30] = [
        Self::Unavailable503,
        Self::Failed500,
        Self::BadGateway502,
        Self::GatewayTimeout504Done,
        Self::Failed500Done,
        Self::RequestTimeout408,
        Self::RequestTimeout408Done,
        Self::Conflict409,
        Self::Unauthorized401,
        Self::Forbidden403,
        Self::NotFound404Once,
        Self::Odd431,
        Self::Throttled429Seconds,
        Self::Throttled429Date,
        Self::Throttled429Silent,
        Self::Nonsense200,
        Self::Nonsense200Done,
        Self::Html200,
        Self::Html503,
        Self::EmptyListDone,
        Self::NoContent204Done,
        Self::PartialListDone,
        Self::NotConnected,
        Self::ConnectionLost,
        Self::ConnectionLostDone,
        Self::TruncatedDone,
        Self::TimedOut,
        Self::TimedOutDone,
        Self::TimedOutDoneLate,
        Self::PageGone404,
    ];
    /// Those in which an outage consists.
    pub(super) const OUTAGES: [Self; 7] = [
        Self::Unavailable503,
        Self::NotConnected,
        Self::ConnectionLost,
        Self::TimedOut,
        Self::Forbidden403,
        Self::Throttled429Seconds,
        Self::GatewayTimeout504Done,
    ];

    /// Whether it can befall this call.
    pub(super) const fn befalls(self, request: &ApiRequest) -> bool {
        match self {
            Self::Odd431 | Self::EmptyListDone | Self::NoContent204Done | Self::PartialListDone => {
                matches!(request, ApiRequest::ChangeTagOnMachines { .. })
            }
            Self::NotFound404Once => request.machine().is_some(),
            Self::PageGone404 => matches!(request, ApiRequest::ListMachines { skip: 1.., top: 2.. }),
            Self::Forbidden403 | Self::Conflict409 | Self::TimedOutDoneLate => !request.is_read(),
            _ => true,
        }
    }

    pub(super) const fn effect(self) -> Effect {
        match self {
            Self::GatewayTimeout504Done
            | Self::Failed500Done
            | Self::RequestTimeout408Done
            | Self::Nonsense200Done
            | Self::EmptyListDone
            | Self::NoContent204Done
            | Self::PartialListDone
            | Self::ConnectionLostDone
            | Self::TruncatedDone
            | Self::TimedOutDone => Effect::Done,
            Self::TimedOutDoneLate => Effect::DoneLate,
            _ => Effect::Undone,
        }
    }

    /// Whether the call reaches the service at all.
    pub(super) const fn arrives(self) -> bool {
        !matches!(self, Self::NotConnected)
    }

    /// Whether the client knows from the answer that nothing was done.
    pub(super) const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::Conflict409
                | Self::Unauthorized401
                | Self::Forbidden403
                | Self::NotFound404Once
                | Self::Odd431
                | Self::Throttled429Seconds
                | Self::Throttled429Date
                | Self::Throttled429Silent
                | Self::NotConnected
                | Self::PageGone404
        )
    }

    pub(super) const fn times_out(self) -> bool {
        matches!(self, Self::TimedOut | Self::TimedOutDone | Self::TimedOutDoneLate)
    }

    /// What the client gets; `None` for what the service itself answers.
    pub(super) fn answer(self) -> Option<Answer> {
        let error = |status, code: &str, text: &str| {
            response(status, &format!(r#"{{"error": {{"code": "{code}", "message": "{text}", "target": "t"}}}}"#))
        };
        Some(match self {
            Self::Unavailable503 => response(503, "down for maintenance"),
            Self::Failed500 | Self::Failed500Done => error(500, "InternalServerError", "it went wrong"),
            Self::BadGateway502 => response(502, "<html>bad gateway</html>"),
            Self::GatewayTimeout504Done => response(504, ""),
            Self::RequestTimeout408 | Self::RequestTimeout408Done => response(408, ""),
            Self::Conflict409 => error(409, "Conflict", "somebody else is at it"),
            Self::Unauthorized401 => response(401, ""),
            Self::Forbidden403 => error(403, "Forbidden", "missing application roles: Machine.ReadWrite.All"),
            Self::NotFound404Once | Self::PageGone404 => error(404, "ResourceNotFound", "it was not found"),
            Self::Odd431 => response(431, "header fields too large"),
            Self::Throttled429Seconds | Self::Throttled429Date | Self::Throttled429Silent | Self::PartialListDone => {
                return None;
            }
            Self::Nonsense200 => response(200, r#"{"message": "maintenance"}"#),
            Self::Nonsense200Done => response(200, "{}"),
            Self::Html200 => response(200, "<html>please sign in</html>"),
            Self::Html503 => response(503, "<html>down</html>"),
            Self::EmptyListDone => response(200, r#"{"value": []}"#),
            Self::NoContent204Done => response(204, ""),
            Self::NotConnected => lost(LossKind::NotConnected),
            Self::ConnectionLost | Self::ConnectionLostDone => lost(LossKind::ConnectionLost),
            Self::TruncatedDone => lost(LossKind::Truncated),
            Self::TimedOut | Self::TimedOutDone | Self::TimedOutDoneLate => lost(LossKind::TimedOut),
        })
    }
}

pub(super) fn response(status: u16, body: &str) -> Answer {
    Answer::Response(Response { status, body: body.as_bytes().to_vec(), ..Response::default() })
}

fn lost(kind: LossKind) -> Answer {
    Answer::Lost(Loss { kind, description: "as the history has it".into() })
}
