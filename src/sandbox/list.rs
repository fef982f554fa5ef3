//! `GET /api/machines`: pages, filters and the link to the next page.

use serde::Serialize;

use super::answers::{ApiError, json};
use super::calls::Arrival;
use super::filter::Filter;
use super::fleet::Fleet;
use super::settings::NextLink;
use super::view::MachineView;

/// What a call of the list asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ListQuery {
    top: Option<usize>,
    skip: usize,
    filter: Option<(String, Filter)>,
}

impl ListQuery {
    /// Reads the decoded pairs of the query. Options that start with `$` and are not served are refused; other names
    /// are ignored, as `OData` wants custom options to be.
    ///
    /// # Errors
    /// An `ODataError` says which option is not understood.
    pub(super) fn parse(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        let mut query = Self { top: None, skip: 0, filter: None };
        for (name, value) in pairs {
            match name.as_str() {
                "$top" => query.top = Some(count("$top", value)?),
                "$skip" => query.skip = count("$skip", value)?,
                "$filter" => {
                    let filter = Filter::parse(value).map_err(|error| {
                        ApiError::odata(format!("The query specified in the URI is not valid. {error}"))
                    })?;
                    query.filter = Some((value.clone(), filter));
                }
                other if other.starts_with('$') => {
                    return Err(ApiError::odata(format!("The query option '{other}' is not supported")));
                }
                _ => {}
            }
        }
        Ok(query)
    }

    fn admits(&self, machine: &MachineView<'_>) -> bool {
        self.filter.as_ref().is_none_or(|(_, filter)| filter.admits(machine))
    }

    fn link(&self, base_url: &str, skip: usize) -> String {
        let top = self.top.map_or_else(String::new, |top| format!("$top={top}&"));
        let filter = self.filter.as_ref().map_or_else(String::new, |(text, _)| format!("&$filter={}", escape(text)));
        format!("{base_url}/api/machines?{top}$skip={skip}{filter}")
    }
}

fn count(option: &str, value: &str) -> Result<usize, ApiError> {
    value.parse().map_err(|_| ApiError::odata(format!("Invalid value '{value}' for {option} query option found")))
}

/// A text as it stands in a query (RFC 3986, section 2.1).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for digit in [byte >> 4, byte & 15] {
                escaped.extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    escaped
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
/// 404 when no machine is left at this position (documented for a filter that nothing matches).
pub(super) fn page(fleet: &Fleet, query: &ListQuery, paging: Paging<'_>, now: Arrival) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct Page<'room> {
        #[serde(rename = "@odata.context")]
        context: String,
        value: Vec<MachineView<'room>>,
        #[serde(rename = "@odata.nextLink", skip_serializing_if = "Option::is_none")]
        next_link: Option<String>,
    }
    let length = query.top.unwrap_or(paging.maximum_page).min(paging.maximum_page);
    let mut left = fleet.listed(now).filter(|machine| query.admits(machine)).skip(query.skip).peekable();
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

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The ids of a page, and its link.
    fn page_of(query: &[(&str, &str)], maximum_page: usize, next_link: NextLink) -> Result<(String, String), u16> {
        let machines = ["a", "b", "c", "d", "e"].map(SandboxMachine::new).to_vec();
        let now = Arrival::now();
        let fleet = Fleet::new(&SandboxSettings::default(), machines, now.wall).expect("a fleet");
        let query = ListQuery::parse(&pairs(query)).map_err(|error| error.status.as_u16())?;
        let paging = Paging { base_url: "http://x", maximum_page, next_link };
        let body = page(&fleet, &query, paging, now).map_err(|error| error.status.as_u16())?;
        let body: serde_json::Value = serde_json::from_slice(&body).expect("json");
        let machines = body.get("value").and_then(|value| value.as_array()).expect("machines");
        let ids = machines.iter().filter_map(|machine| machine.get("id")?.as_str()).collect();
        Ok((ids, body.get("@odata.nextLink").and_then(|link| link.as_str()).unwrap_or_default().to_owned()))
    }

    /// The query, the largest page, the kind of link, and the page with its link or the status of the refusal.
    type Line<'line> = (&'line [(&'line str, &'line str)], usize, NextLink, Result<(&'line str, String), u16>);

    #[test]
    fn pages_are_cut_where_the_query_and_the_limit_say() {
        use NextLink::{Absent, Correct, Endless};
        let filter = ("$filter", "id ne 'c'");
        let next = |rest: &str| format!("http://x/api/machines?{rest}");
        let table: [Line<'_>; 17] = [
            (&[], 10, Correct, Ok(("abcde", String::new()))),
            (&[], 5, Correct, Ok(("abcde", String::new()))),
            (&[], 2, Correct, Ok(("ab", next("$skip=2")))),
            (&[], 2, Absent, Ok(("ab", String::new()))),
            (&[], 2, Endless, Ok(("ab", next("$skip=0")))),
            (&[("$skip", "4")], 2, Endless, Ok(("e", next("$skip=4")))),
            (&[("$top", "2")], 10, Correct, Ok(("ab", String::new()))),
            (&[("$top", "4")], 2, Correct, Ok(("ab", next("$top=4&$skip=2")))),
            (&[("$top", "2"), ("$skip", "4")], 10, Correct, Ok(("e", String::new()))),
            (&[("$top", "0")], 10, Correct, Ok(("", String::new()))),
            (&[("$skip", "5")], 10, Correct, Err(404)),
            (&[filter], 2, Correct, Ok(("ab", next("$skip=2&$filter=id%20ne%20%27c%27")))),
            (&[filter, ("$skip", "2")], 2, Correct, Ok(("de", String::new()))),
            (&[("$filter", "id eq 'z'")], 10, Correct, Err(404)),
            (&[("$filter", "id is 'z'")], 10, Correct, Err(400)),
            (&[("$top", "-1")], 10, Correct, Err(400)),
            (&[("custom", "1")], 10, Correct, Ok(("abcde", String::new()))),
        ];
        for (query, maximum_page, next_link, expected) in table {
            let expected = expected.map(|(ids, link)| (ids.to_owned(), link));
            assert_eq!(page_of(query, maximum_page, next_link), expected, "{query:?} {maximum_page} {next_link:?}");
        }
        assert_eq!(page_of(&[("$orderby", "id")], 10, Correct), Err(400));
    }
}
