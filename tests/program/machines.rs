//! Short names for machine ids, so that rows stay readable: `#7` stands for the id of machine 7.

/// The id of this machine: 40 hexadecimal digits.
pub(crate) fn id(machine: u32) -> String {
    format!("a{machine:039x}")
}

/// Puts ids in place of `#1`, `#2` and so on.
pub(crate) fn with_ids(text: &str) -> String {
    let mut parts = text.split('#');
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(digits);
        match number.parse() {
            Ok(machine) => written.push_str(&id(machine)),
            Err(_no_number) => {
                written.push('#');
                written.push_str(number);
            }
        }
        written.push_str(rest);
    }
    written
}

/// Rows that add this tag to the machines 1 to `count`.
pub(crate) fn rows_adding(tag: &str, count: u32) -> String {
    (1..=count).map(|machine| format!("#{machine},{tag},Add,\n")).collect()
}
