//! `GET /api/machines`: pages and the link to the next page.

use serde::Serialize;

use super::answers::{ApiError, json};
use super::calls::Arrival;
use super::fleet::Fleet;
use super::settings::NextLink;
use super::view::MachineView;

/// What a call of the list asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListQuery {
    top: Option<usize>,
    skip: usize,
}

impl ListQuery {
    /// Reads the query. Options that start with `$` and are not served are refused; other names
    /// are ignored, as `OData` wants custom options to be.
    ///
    /// # Errors
    /// An `ODataError` says which option is not understood.
    pub(super) fn parse(query: &str) -> Result<Self, ApiError> {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let mut query = Self { top: None, skip: 0 };
        for (name, value) in pairs {
            match &*name {
                "$top" => query.top = Some(count("$top", &value)?),
                "$skip" => query.skip = count("$skip", &value)?,
                other if other.starts_with('$') => {
                    return Err(ApiError::odata(format!("The query option '{other}' is not supported")));
                }
                _ => {}
            }
        }
        Ok(query)
    }

    fn link(self, base_url: &str, skip: usize) -> String {
        let top = self.top.map_or_else(String::new, |top| format!("$top={top}&"));
        format!("{base_url}/api/machines?{top}$skip={skip}")
    }
}

fn count(option: &str, value: &str) -> Result<usize, ApiError> {
    value.parse().map_err(|_| ApiError::odata(format!("Invalid value '{value}' for {option} query option found")))
}

/// How pages are made, whatever the query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paging<'room> {
    pub(super) base_url: &'room str,
    pub(super) maximum_page: usize,
    pub(super) next_link: NextLink,
}

/// The page of the list that the query asks for, as JSON.
///
/// # Errors
/// 404 when no machine is left at this position.
pub(super) fn page(fleet: &Fleet, query: ListQuery, paging: Paging<'_>, now: Arrival) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct Page<'room> {
        #[serde(rename = "@odata.context")]
        context: String,
        value: Vec<MachineView<'room>>,
        #[serde(rename = "@odata.nextLink", skip_serializing_if = "Option::is_none")]
        next_link: Option<String>,
    }
    let length = query.top.unwrap_or(paging.maximum_page).min(paging.maximum_page);
    let mut left = fleet.listed(now, query.skip).peekable();
    if left.peek().is_none() {
        return Err(ApiError::no_machines());
    }
    let value: Vec<_> = left.by_ref().take(length).collect();
    // The link continues what was asked for, so a page that is as long as `$top` needs none.
    let goes_on = left.peek().is_some() && query.top.is_none_or(|top| top > length);
    let next_link = match paging.next_link {
        NextLink::Correct if goes_on => Some(query.link(paging.base_url, query.skip.saturating_add(length))),
        NextLink::Endless => Some(query.link(paging.base_url, query.skip)),
        NextLink::Correct | NextLink::Absent => None,
    };
    Ok(json(&Page { context: format!("{}/api/$metadata#Machines", paging.base_url), value, next_link }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::settings::{SandboxMachine, SandboxSettings};

    /// The ids of a page, and its link.
    fn page_of(query: &str, maximum_page: usize, next_link: NextLink) -> Result<(String, String), u16> {
        let machines = ["a", "b", "c", "d", "e"].map(SandboxMachine::new).to_vec();
        let now = Arrival { uptime: std::time::Duration::ZERO, wall: jiff::Timestamp::UNIX_EPOCH };
        let fleet = Fleet::new(&SandboxSettings::default(), machines, now.wall).expect("a fleet");
        let query = ListQuery::parse(query).map_err(|error| error.status)?;
        let paging = Paging { base_url: "http://x", maximum_page, next_link };
        let body = page(&fleet, query, paging, now).map_err(|error| error.status)?;
        let body: serde_json::Value = serde_json::from_slice(&body).expect("json");
        let machines = body.get("value").and_then(|value| value.as_array()).expect("machines");
        let ids = machines.iter().filter_map(|machine| machine.get("id")?.as_str()).collect();
        Ok((ids, body.get("@odata.nextLink").and_then(|link| link.as_str()).unwrap_or_default().to_owned()))
    }

    /// The query, the largest page, the kind of link, and the page with its link or the status of the refusal.
    type Line<'line> = (&'line str, usize, NextLink, Result<(&'line str, String), u16>);

    #[test]
    fn pages_are_cut_where_the_query_and_the_limit_say() {
        use NextLink::{Absent, Correct, Endless};
        let next = |rest: &str| format!("http://x/api/machines?{rest}");
        let table: [Line<'_>; 16] = [
            ("", 10, Correct, Ok(("abcde", String::new()))),
            ("", 5, Correct, Ok(("abcde", String::new()))),
            ("", 2, Correct, Ok(("ab", next("$skip=2")))),
            ("", 2, Absent, Ok(("ab", String::new()))),
            ("", 2, Endless, Ok(("ab", next("$skip=0")))),
            ("$skip=4", 2, Endless, Ok(("e", next("$skip=4")))),
            ("$top=2", 10, Correct, Ok(("ab", String::new()))),
            ("$top=4", 2, Correct, Ok(("ab", next("$top=4&$skip=2")))),
            ("$top=2&$skip=4", 10, Correct, Ok(("e", String::new()))),
            ("$top=0", 10, Correct, Ok(("", String::new()))),
            ("$skip=5", 10, Correct, Err(404)),
            ("$skip=18446744073709551615&$top=18446744073709551615", 10, Correct, Err(404)),
            ("$skip=99999999999999999999", 10, Correct, Err(400)),
            ("$filter=id eq 'a'", 10, Correct, Err(400)),
            ("$top=-1", 10, Correct, Err(400)),
            ("custom=1", 10, Correct, Ok(("abcde", String::new()))),
        ];
        for (query, maximum_page, next_link, expected) in table {
            let expected = expected.map(|(ids, link)| (ids.to_owned(), link));
            assert_eq!(page_of(query, maximum_page, next_link), expected, "{query:?} {maximum_page} {next_link:?}");
        }
        assert_eq!(page_of("$orderby=id", 10, Correct), Err(400));
    }
}
