//! The program: carries out what was typed, and ends with its status.

use std::process::ExitCode;

fn main() -> ExitCode {
    tagfleet::prefer_small_pages();
    tagfleet::spare_address_space();
    tagfleet::forbid_core_dumps();
    ExitCode::from(tagfleet::execute().code())
}
