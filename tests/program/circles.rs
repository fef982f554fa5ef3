//! Files of the program that need each other, directly or by way of others, cannot be read one by one: there are to be none.
//!
//! Reads the source as text. A file needs another when it imports, by `use` or by a path in its code, something that the
//! other defines; what a module only hands on is followed to where it is defined. So it does when it calls a method that the
//! other adds to a type of its own. Tests may name what they like.

use std::collections::{BTreeMap, BTreeSet};

use crate::layout::{Source, sources};

/// A module by its path from the crate's root: `report`, `report::screen`.
type Module = String;

/// What a file imports or hands on: the whole path, and the name under which it is known there.
struct Import {
    path: Vec<String>,
    name: String,
}

struct Tree {
    modules: BTreeMap<Module, Vec<Import>>,
}

/// The parts of a tree of imports such as `a::{b, c::{self, d as e}}`, each whole.
fn imports(tree: &str, before: &[String], found: &mut Vec<Import>) {
    let tree = tree.trim();
    let mut path = before.to_vec();
    if let Some((head, list)) = tree.split_once('{').filter(|(head, _)| !head.contains(',')) {
        path.extend(head.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
        let list = list.trim_end().strip_suffix('}').unwrap_or(list);
        let (mut depth, mut begun) = (0, 0);
        for (position, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    imports(&list[begun..position], &path, found);
                    begun = position + 1;
                }
                _ => {}
            }
        }
        return imports(&list[begun..], &path, found);
    }
    let (whole, name) = tree.split_once(" as ").map_or((tree, None), |(whole, name)| (whole, Some(name.trim())));
    path.extend(whole.split("::").map(str::trim).filter(|part| !part.is_empty() && *part != "self").map(str::to_owned));
    if let Some(last) = path.last().cloned().filter(|_| path.len() > before.len() || !tree.is_empty()) {
        found.push(Import { name: name.unwrap_or(&last).to_owned(), path });
    }
}

/// Everything that a file names by a path which begins at the crate, at itself, or above.
fn named(text: &str) -> Vec<Import> {
    let mut found = Vec::new();
    let mut code = String::new();
    let mut rest = text;
    while let Some(position) = rest.find("use ") {
        let is_statement = rest[..position].trim_end_matches([' ', '\t']).is_empty()
            || rest[..position].ends_with(['\n', ' ', ')'])
                && rest[..position].rsplit('\n').next().is_some_and(|line| {
                    let line = line.trim();
                    line.is_empty() || line.starts_with("pub")
                });
        let end = rest[position..].find(';').map_or(rest.len(), |end| position + end);
        if is_statement {
            code.push_str(&rest[..position]);
            imports(&rest[position + 4..end], &[], &mut found);
            rest = &rest[end..];
        } else {
            code.push_str(&rest[..position + 4]);
            rest = &rest[position + 4..];
        }
    }
    code.push_str(rest);
    // How far something may be seen is no need of it.
    let code: String = code
        .split("pub(in ")
        .enumerate()
        .map(|(index, part)| if index == 0 { part } else { part.split_once(')').map_or(part, |(_whom, rest)| rest) })
        .collect();
    let is_part = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    for word in code.split(|character: char| !is_part(character)).filter(|word| word.contains("::")) {
        imports(word.trim_matches(':'), &[], &mut found);
    }
    found
}

fn module_of(source: &Source) -> Module {
    let mut names = source.names.clone();
    if names.last().is_some_and(|name| name == "mod" || name == "lib" || name == "main") {
        names.pop();
    }
    names.join("::")
}

impl Tree {
    /// The module in which what a module names is defined; `None` where that is no module of the crate.
    fn definition(&self, from: &str, import: &Import, depth: usize) -> Option<Module> {
        let mut here: Vec<String> = from.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut path = import.path.iter().peekable();
        match path.peek().map(|first| first.as_str()) {
            Some("crate") => {
                here.clear();
                path.next();
            }
            Some("self") => {
                path.next();
            }
            Some("super") => {}
            Some(first) => {
                let child = [here.join("::"), first.to_owned()].join("::");
                let known = self.modules[from].iter().find(|known| known.name == first && known.path.len() > 1);
                if !self.modules.contains_key(child.trim_start_matches("::")) {
                    let (known, rest) = (known?, import.path.get(1..).unwrap_or_default());
                    if depth > 5 || known.path == import.path {
                        return None;
                    }
                    let path: Vec<String> = known.path.iter().chain(rest).cloned().collect();
                    return self.definition(from, &Import { path, name: import.name.clone() }, depth + 1);
                }
            }
            None => return None,
        }
        for part in path {
            if part == "super" {
                here.pop();
                continue;
            }
            let child = if here.is_empty() { part.clone() } else { format!("{}::{part}", here.join("::")) };
            if self.modules.contains_key(&child) {
                here.push(part.clone());
                continue;
            }
            // Something in this module: defined there, or handed on from elsewhere.
            let module = here.join("::");
            let handed_on = self.modules.get(&module)?.iter().find(|known| known.name == *part && known.path.len() > 1);
            return match handed_on {
                Some(known) if depth < 5 => self.definition(&module, known, depth + 1).or(Some(module.clone())),
                _ => Some(module),
            };
        }
        Some(here.join("::"))
    }
}

/// The name behind a keyword such as `struct` at the beginning of an item.
fn name_behind<'text>(keyword: &str, line: &'text str) -> Option<&'text str> {
    let (before, after) = line.split_once(keyword)?;
    let is_item = before.split_whitespace().all(|word| word.starts_with("pub") || matches!(word, "const" | "async"));
    is_item.then(|| after.split(|character: char| !character.is_alphanumeric() && character != '_').next()).flatten()
}

/// The methods that a file gives to types, with the type's name first.
fn methods(text: &str) -> Vec<(&str, &str)> {
    let mut of = None;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("impl") {
            let ends = line.rfind(" {").filter(|_| !line.contains(" for "));
            let whole = ends.and_then(|end| line.get(..end)).unwrap_or_default();
            of = whole.rsplit(' ').next().and_then(|name| name.split('<').next()).filter(|name| !name.is_empty());
        }
        let method = line.strip_prefix("    ").filter(|inner| !inner.starts_with(' '));
        if let (Some(of), Some(method)) = (of, method.and_then(|inner| name_behind("fn ", inner))) {
            found.push((of, method));
        }
    }
    found
}

/// What needs what without naming it: a file that calls methods of its own type, which another file adds to that.
fn unnamed_needs(sources: &[Source]) -> Vec<(Module, Module)> {
    let defines = |source: &Source, of: &str| {
        source.text.lines().any(|line| ["struct ", "enum "].iter().any(|word| name_behind(word, line) == Some(of)))
    };
    let mut found = Vec::new();
    for adding in sources {
        for (of, method) in methods(&adding.text) {
            let owners = sources.iter().filter(|owner| owner.names[0] == adding.names[0] && defines(owner, of));
            let calls = [format!(".{method}("), format!("Self::{method}(")];
            let calling = owners.filter(|owner| calls.iter().any(|call| owner.text.contains(call)));
            found.extend(calling.filter(|_| !defines(adding, of)).map(|owner| (module_of(owner), module_of(adding))));
        }
    }
    found
}

/// What each file of the program needs of the others.
fn needs() -> BTreeMap<Module, BTreeSet<Module>> {
    let sources = sources();
    let tree = Tree { modules: sources.iter().map(|source| (module_of(source), named(&source.text))).collect() };
    let unnamed = unnamed_needs(&sources);
    let needs: BTreeMap<Module, BTreeSet<Module>> = tree
        .modules
        .iter()
        .map(|(module, imports)| {
            let needed = imports.iter().filter_map(|import| tree.definition(module, import, 0));
            let unnamed = unnamed.iter().filter(|(calling, _)| calling == module).map(|(_, adding)| adding.clone());
            let others = needed.filter(|needed| needed != module && !needed.is_empty()).chain(unnamed);
            (module.clone(), others.collect())
        })
        .collect();
    let arrows: usize = needs.values().map(BTreeSet::len).sum();
    assert!(arrows > 500, "only {arrows} imports were understood");
    needs
}

/// Whoever needs itself by way of others, with those.
fn circles(needs: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let reached = |from: &Module| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = left.pop() {
            for next in needs.get(&module).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    left.push(next.clone());
                }
            }
        }
        seen
    };
    needs
        .iter()
        .filter(|(module, _)| reached(module).contains(*module))
        .map(|(module, needed)| {
            let back: Vec<&Module> = needed.iter().filter(|next| reached(next).contains(module)).collect();
            format!("{module} needs {back:?}")
        })
        .collect()
}

#[test]
fn no_files_need_each_other() {
    let within = circles(&needs());
    assert!(within.is_empty(), "{} files need each other:\n{}", within.len(), within.join("\n"));
}

#[test]
fn no_rooms_within_a_room_need_each_other() {
    let needs = needs();
    for whole in ["store::", "report::", "input::"] {
        let room = |module: &Module| module.strip_prefix(whole)?.split("::").next().map(str::to_owned);
        let mut rooms: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, needed) in &needs {
            let Some(from) = room(module) else { continue };
            let others = needed.iter().filter_map(room).filter(|to| *to != from).collect::<Vec<_>>();
            rooms.entry(from).or_default().extend(others);
        }
        assert!(rooms.len() > 7, "only {} rooms were found", rooms.len());
        let within = circles(&rooms);
        assert!(within.is_empty(), "{} rooms of {whole} need each other:\n{}", within.len(), within.join("\n"));
    }
}

#[test]
fn methods_are_found_by_their_types() {
    let text = "impl<T: Transport> Caller<T> {\n    pub(super) async fn renew(&self) {}\n}\nimpl Display for Call {\n    fn fmt() {}\n}\nimpl Gate {\n    const fn pause(\n";
    assert_eq!(methods(text), [("Caller", "renew"), ("Gate", "pause")]);
}
