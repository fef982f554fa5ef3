//! Which call of the API a request is.
//!
//! `PATCH /api/machines/{id}`, which replaces a machine's whole list of tags, is left out on purpose: nothing that is
//! checked against this sandbox may ever use it, so it is the wrong method.

use percent_encoding::percent_decode_str;

use super::calls::CallKind;

/// What a request is about; parts of its path are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// The token endpoint of a tenant.
    SignIn { tenant: String },
    /// Where a person's browser is sent to sign in, with the query as it came.
    Authorize { tenant: String, query: String },
    /// Where a device asks for a code.
    DeviceCode { tenant: String },
    /// Where a person enters it.
    DeviceLogin,
    /// A page of the list, with the query as it came.
    List { query: String },
    /// One machine, by id or name.
    Get { machine: String },
    /// One tag of many machines.
    Bulk,
    /// One tag of one machine.
    Tags { machine: String },
    /// The device value of one machine.
    Value { machine: String },
    /// No such resource.
    Nowhere,
    /// There is one, which is not to be used so.
    WrongMethod,
}

impl Route {
    /// The route of a request to this path, with its query if it has one.
    pub(super) fn of(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments: Vec<&str> = path.split('/').collect();
        let (only_method, route) = match segments.as_slice() {
            ["", tenant, "oauth2", "v2.0", "token"] => ("POST", Self::SignIn { tenant: decoded(tenant) }),
            ["", tenant, "oauth2", "v2.0", "authorize"] => {
                ("GET", Self::Authorize { tenant: decoded(tenant), query: query.to_owned() })
            }
            ["", tenant, "oauth2", "v2.0", "devicecode"] => ("POST", Self::DeviceCode { tenant: decoded(tenant) }),
            ["", "devicelogin"] => ("GET", Self::DeviceLogin),
            ["", "api", "machines"] => ("GET", Self::List { query: query.to_owned() }),
            ["", "api", "machines", "AddOrRemoveTagForMultipleMachines"] => ("POST", Self::Bulk),
            ["", "api", "machines", id, rest @ ..] if !id.is_empty() => {
                let machine = decoded(id);
                match rest {
                    [] => ("GET", Self::Get { machine }),
                    ["tags"] => ("POST", Self::Tags { machine }),
                    ["setDeviceValue"] => ("POST", Self::Value { machine }),
                    _ => return Self::Nowhere,
                }
            }
            _ => return Self::Nowhere,
        };
        if method == only_method { route } else { Self::WrongMethod }
    }

    /// The kind of call, if it is one of the machine API.
    pub(super) const fn kind(&self) -> Option<CallKind> {
        match self {
            Self::List { .. } => Some(CallKind::List),
            Self::Get { .. } => Some(CallKind::Get),
            Self::Bulk => Some(CallKind::Bulk),
            Self::Tags { .. } => Some(CallKind::Tags),
            Self::Value { .. } => Some(CallKind::Value),
            Self::SignIn { .. }
            | Self::Authorize { .. }
            | Self::DeviceCode { .. }
            | Self::DeviceLogin
            | Self::Nowhere
            | Self::WrongMethod => None,
        }
    }
}

/// A part of the path; one that is not UTF-8 names no machine.
fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8().map(Into::into).unwrap_or_default()
}
