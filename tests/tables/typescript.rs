//! The file of the page and the package that is made of the tables: `www/options.ts`.

use semivq::options::{Control, Entry, Kind, PAGE, Scope, TABLE, Unset};
use semivq::train::Method;

const HEAD: &str = "\
/**
 * Made of the tables in `src/options/table.rs` and `src/train/methods.rs`; `cargo xtask tables` writes it anew.
 */
";

const PARTIAL: &str = "
/** Some options; what is missing comes from the method, then from the defaults. */
export type PartialOptions = Partial<Omit<TrainOptions, \"vq\">> & { vq?: Partial<QuantizerOptions> };
";

/// `text` as a literal.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn list<'a>(words: impl IntoIterator<Item = &'a str>, between: &str) -> String {
    words
        .into_iter()
        .map(quoted)
        .collect::<Vec<_>>()
        .join(between)
}

fn methods() -> impl Iterator<Item = &'static str> {
    Method::ALL.into_iter().map(Method::name)
}

fn of_group(group: &str) -> impl Iterator<Item = &'static Entry> {
    TABLE.iter().filter(move |entry| entry.group == group)
}

/// `name: type`
fn field(entry: &Entry) -> String {
    let of = match entry.kind {
        Kind::Number(_) => "number".into(),
        Kind::Word(words) => list(words.iter().copied(), " | "),
        Kind::Method => "Method".into(),
        Kind::Switch => "boolean".into(),
        Kind::Pair => "[number, number]".into(),
        Kind::Levels => "number[]".into(),
        Kind::Text => "string".into(),
    };
    match entry.unset {
        Unset::Never => format!("{}: {of}", entry.name),
        Unset::Null | Unset::OrNone(_) => format!("{}: {of} | null", entry.name),
        Unset::LeftOut => format!("{}?: {of}", entry.name),
    }
}

/// The fields of an interface, each with what it is and its default.
fn fields(group: &str) -> String {
    let one = |entry: &Entry| {
        // What the command line has for a default is its own.
        let (help, _) = entry
            .help
            .split_once(" [default")
            .unwrap_or((entry.help, ""));
        let default = match entry.kind {
            Kind::Switch => String::new(),
            _ if entry.unset != Unset::Never => String::new(),
            Kind::Number(_) => format!(" Default: {}.", entry.default),
            _ => format!(" Default: {}.", quoted(entry.default)),
        };
        format!("  /** {help}.{default} */\n  {};\n", field(entry))
    };
    of_group(group).map(one).collect()
}

/// A variant for each optimiser, with what all have and what it alone has.
fn optimizers() -> String {
    let Some(Kind::Word(names)) = Entry::named("optimizer").map(|e| e.kind) else {
        panic!("the optimiser is no word");
    };
    let one = |name: &&str| {
        let own = |e: &&Entry| e.name != "name" && (e.of.is_empty() || e.of.contains(name));
        let fields: Vec<String> = of_group("optimizer").filter(own).map(field).collect();
        format!("\n  | {{ name: {}; {} }}", quoted(name), fields.join("; "))
    };
    names.iter().map(one).collect()
}

/// A number as JavaScript writes it.
fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        return (value as i64).to_string();
    }
    serde_json::to_string(&value).unwrap()
}

fn control(entry: &Entry, control: &Control) -> String {
    let initial = match control.initial {
        "" => "null".into(),
        number if matches!(entry.kind, Kind::Number(_)) => number.into(),
        text => quoted(text),
    };
    let mut parts = vec![
        format!("key: {}", quoted(control.key)),
        format!("label: {}", quoted(control.label)),
        format!(
            "scope: {}",
            match control.scope {
                Scope::Shared => "\"shared\"",
                Scope::Side => "\"side\"",
            }
        ),
    ];
    parts.extend(control.live.then(|| "live: true".into()));
    parts.extend(control.more.then(|| "more: true".into()));
    let words = |words: String| format!("type: \"choice\", initial: {initial}, choices: {words}");
    parts.push(match entry.kind {
        Kind::Word(all) => words(format!("[{}]", list(all.iter().copied(), ", "))),
        Kind::Method => words("METHODS".into()),
        Kind::Switch => words("[\"yes\", \"no\"], flag: true".into()),
        _ => {
            let (least, greatest) = control.bounds;
            let bounds = format!("min: {}, max: {}", number(least), number(greatest));
            let step = match entry.whole() {
                true => "step: 1, whole: true",
                false => "step: \"any\"",
            };
            format!("type: \"number\", initial: {initial}, {bounds}, {step}")
        }
    });
    parts.push(format!("help: {}", quoted(control.help)));
    format!("  {{ {} }},\n", parts.join(", "))
}

/// The whole file.
pub fn options() -> String {
    let controls = PAGE.iter().map(|id| {
        let entry = Entry::named(id).unwrap();
        control(entry, &entry.control.unwrap())
    });
    format!(
        "{HEAD}
/** A named setting of the quantiser's options. */
export type Method =\n  | {};

/** All methods. */
export const METHODS: readonly Method[] = [\n  {},\n];

/** Options of the quantiser, under the names of the command line; the method sets most of them. */
export interface QuantizerOptions {{\n{}}}

/** The optimiser and its constants. */
export type OptimizerOptions ={};

/** What a run is: the same object as the command line's `config.json`. */
export interface TrainOptions {{\n{}  /** The quantiser. */
  vq: QuantizerOptions;
  /** The optimiser. */
  optimizer: OptimizerOptions;
}}
{PARTIAL}
/** The controls of the options, in the page's order; `key` is the option's name. */
export const CONTROLS = [\n{}] as const;
",
        list(methods(), "\n  | "),
        list(methods(), ",\n  "),
        fields("vq"),
        optimizers(),
        fields(""),
        controls.collect::<String>(),
    )
}
