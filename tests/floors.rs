//! The house stands on its floors: no file imports one above it, and none imports, directly or through
//! others, a file that imports it. ARCHITECTURE.md says what each floor is for.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::Visit;
use syn::{Item, UseTree, Visibility};

/// The rooms, lowest floor first; those of one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["error", "rng"],
    &["options", "data"],
    &["gpu"],
    &["ops"],
    &["nn", "optim"],
    &["quant"],
    &["models"],
    &["train"],
    &["prior"],
    &["bench", "run"],
    &["compare"],
    &["kernels", "web", "cli"],
];

/// A module: what it holds, and what it says of others.
#[derive(Default)]
struct Module {
    modules: BTreeSet<String>,
    /// What it re-exports, and from where.
    reexports: BTreeMap<String, Vec<String>>,
    /// The absolute paths in its text.
    mentions: Vec<Vec<String>>,
}

/// Modules by their path: `gpu`, `plan` for src/gpu/plan.rs.
type House = BTreeMap<Vec<String>, Module>;

struct Reader<'a> {
    here: &'a [String],
    module: Module,
}

/// Whether an item is only there for the tests.
fn only_tested(attributes: &[syn::Attribute]) -> bool {
    let cfg = |a: &&syn::Attribute| a.path().is_ident("cfg");
    let mut cfgs = attributes.iter().filter(cfg);
    cfgs.any(|a| {
        a.parse_args::<syn::Path>()
            .is_ok_and(|p| p.is_ident("test"))
    })
}

impl Reader<'_> {
    /// `path` from the crate's root, if it is one of the crate.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let ups = path.iter().take_while(|s| *s == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([self.here, &path[1..]].concat()),
            "super" => {
                let base = &self.here[..self.here.len().checked_sub(ups)?];
                Some([base, &path[ups..]].concat())
            }
            _ => None,
        }
    }

    fn tree(&mut self, tree: &UseTree, mut path: Vec<String>, public: bool) {
        let (name, bound) = match tree {
            UseTree::Path(p) => {
                path.push(p.ident.to_string());
                return self.tree(&p.tree, path, public);
            }
            UseTree::Group(g) => {
                for tree in &g.items {
                    self.tree(tree, path.clone(), public);
                }
                return;
            }
            UseTree::Name(n) => (n.ident.to_string(), n.ident.to_string()),
            UseTree::Rename(r) => (r.ident.to_string(), r.rename.to_string()),
            UseTree::Glob(_) => ("*".to_owned(), "*".to_owned()),
        };
        if name != "self" {
            path.push(name);
        }
        // `pub use layer::VectorQuant` of a module of its own.
        let own = path
            .first()
            .is_some_and(|p| self.module.modules.contains(p));
        let path = if own {
            [self.here, &path].concat()
        } else if let Some(path) = self.absolute(&path) {
            path
        } else {
            return;
        };
        if public {
            self.module.reexports.insert(bound, path);
        } else {
            self.module.mentions.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[syn::Attribute] = match item {
            Item::Mod(i) => &i.attrs,
            Item::Fn(i) => &i.attrs,
            Item::Use(i) => &i.attrs,
            Item::Impl(i) => &i.attrs,
            _ => &[],
        };
        if only_tested(attributes) {
            return;
        }
        if let Item::Use(item) = item {
            let public = !matches!(item.vis, Visibility::Inherited);
            self.tree(&item.tree, Vec::new(), public);
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let Some(path) = self.absolute(&segments) {
            self.module.mentions.push(path);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        // What is written inside a macro counts as well, as far as it is a path.
        let text = mac.tokens.to_string().replace(' ', "");
        for start in ["crate::", "super::"] {
            for (at, _) in text.match_indices(start) {
                let before = text[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c)) {
                    continue;
                }
                let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                let path: String = text[at..].chars().take_while(|c| word(*c)).collect();
                let segments: Vec<String> = path.split("::").map(str::to_owned).collect();
                self.module.mentions.extend(self.absolute(&segments));
            }
        }
    }
}

/// Reads the module `here`, which `file` holds, and those below it.
fn read(file: &Path, here: &[String], house: &mut House) {
    let text = std::fs::read_to_string(file).unwrap();
    let parsed = syn::parse_file(&text).unwrap();
    let folder = match file.file_stem().and_then(|s| s.to_str()).unwrap() {
        "lib" | "mod" => file.parent().unwrap().to_owned(),
        stem => file.with_file_name(stem),
    };
    let mut reader = Reader {
        here,
        module: Module::default(),
    };
    for item in &parsed.items {
        if let Item::Mod(item) = item
            && item.content.is_none()
            && !only_tested(&item.attrs)
        {
            let name = item.ident.to_string();
            let below = [here, std::slice::from_ref(&name)].concat();
            let flat = folder.join(format!("{name}.rs"));
            let file = if flat.exists() {
                flat
            } else {
                folder.join(&name).join("mod.rs")
            };
            reader.module.modules.insert(name);
            read(&file, &below, house);
        }
    }
    reader.visit_file(&parsed);
    let module = reader.module;
    house.insert(here.to_vec(), module);
}

/// The module that defines what `path` names, re-exports followed.
fn home(house: &House, path: &[String]) -> Vec<String> {
    let mut at: Vec<String> = Vec::new();
    for (i, segment) in path.iter().enumerate() {
        let module = &house[&at];
        if module.modules.contains(segment) {
            at.push(segment.clone());
        } else if let Some(source) = module.reexports.get(segment) {
            return home(house, &[source.as_slice(), &path[i + 1..]].concat());
        } else {
            break;
        }
    }
    at
}

fn house() -> House {
    let mut house = House::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    read(&src.join("lib.rs"), &[], &mut house);
    house
}

/// What each module imports.
fn imports(house: &House) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let of = |(here, module): (&Vec<String>, &Module)| {
        let homes = module.mentions.iter().map(|path| home(house, path));
        let others = homes.filter(|to| to != here && !to.is_empty());
        (here.clone(), others.collect())
    };
    house.iter().map(of).collect()
}

#[test]
fn no_room_imports_one_above_it() {
    let floor = |room: &str| FLOORS.iter().position(|rooms| rooms.contains(&room));
    let house = house();
    let mut wrong = Vec::new();
    for room in &house[&Vec::new()].modules {
        assert!(
            floor(room).is_some(),
            "{room} has no floor: give it one in FLOORS"
        );
    }
    for (from, tos) in imports(&house) {
        let Some(room) = from.first() else { continue };
        for to in tos {
            let below = to[0] == *room || floor(&to[0]) < floor(room);
            if !below {
                wrong.push(format!("{} imports {}", from.join("::"), to.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_imports_one_that_imports_it() {
    let house = house();
    let imports = imports(&house);
    let mut circles = Vec::new();
    for start in imports.keys().filter(|k| !k.is_empty()) {
        // The shortest way from a file back to itself.
        let mut came: BTreeMap<&Vec<String>, &Vec<String>> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for to in &imports[at] {
                if !came.contains_key(to) {
                    came.insert(to, at);
                    queue.push_back(to);
                }
            }
        }
        if let Some(mut at) = came.get(start).copied() {
            let mut way = vec![start.join("::")];
            while at != start {
                way.push(at.join("::"));
                at = came[at];
            }
            // Told once, from its first file.
            if way.iter().min() == way.first() {
                way.reverse();
                circles.push(way.join(" -> "));
            }
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn an_import_is_seen() {
    let house = house();
    let imports = imports(&house);
    let path = |text: &str| -> Vec<String> { text.split("::").map(str::to_owned).collect() };
    for (from, to) in [
        // `use`, through a re-export; a path in an expression; inside a macro.
        ("ops::loss", "gpu::recorder"),
        ("kernels", "ops::conv2d"),
        ("ops::conv2d", "gpu::fragments"),
    ] {
        assert!(imports[&path(from)].contains(&path(to)), "{from} -> {to}");
    }
}
