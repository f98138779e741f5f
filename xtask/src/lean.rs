//! Shaders as the page's core holds them: without comments, spaces and long names. Lines stay those that errors name.

use std::collections::{BTreeMap, BTreeSet};

/// What WGSL has names for itself, which a shader may give to something of its own or put before a colon: they stay.
const PREDECLARED: &str = "abs acos all any array asin atan atan2 atomicAdd atomicLoad atomicMax atomicMin atomicStore \
    bitcast bool ceil clamp cos countOneBits cross default degrees determinant distance dot exp exp2 extractBits f16 f32 \
    faceForward floor fma fract i32 insertBits inverseSqrt ldexp length log log2 mat2x2 max min mix modf normalize \
    pack pow ptr radians reflect reverseBits round saturate select sign sin smoothstep sqrt step tan tanh transpose \
    trunc u32 unpack vec2 vec3 vec4";
/// Words of two letters that WGSL keeps for itself.
const KEYWORDS: [&str; 5] = ["as", "do", "fn", "if", "of"];

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

fn is_space(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_whitespace())
}

/// Words, numbers, stretches of spaces, and each other character by itself; comments, which begin with two slashes, are gone.
fn tokens(source: &str) -> Vec<&str> {
    let mut all = Vec::new();
    for line in source.split_inclusive('\n') {
        let (code, end) = match line.split_once("//") {
            Some((code, _)) => (code, &line[line.trim_end_matches('\n').len()..]),
            None => (line, ""),
        };
        for part in [code, end] {
            let mut rest = part;
            while let Some(first) = rest.chars().next() {
                let of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let within = |c: char| match first {
                    c0 if c0.is_ascii_whitespace() => c.is_ascii_whitespace(),
                    c0 if c0.is_ascii_digit() => of_word(c) || c == '.',
                    c0 => of_word(c0) && of_word(c),
                };
                let mut length = rest.find(|c| !within(c)).unwrap_or(rest.len());
                // The sign of an exponent belongs to its number.
                let number = first.is_ascii_digit() && !rest.starts_with("0x");
                if number && rest[..length].ends_with('e') {
                    let digits = rest[length..].trim_start_matches(['+', '-']);
                    let exponent = digits.find(|c| !of_word(c)).unwrap_or(digits.len());
                    length = rest.len() - digits.len() + exponent;
                }
                let (token, behind) = rest.split_at(length.max(first.len_utf8()));
                all.push(token);
                rest = behind;
            }
        }
    }
    all
}

/// Short names for those that the shaders give.
pub struct Lean<'a>(BTreeMap<&'a str, String>);

impl<'a> Lean<'a> {
    /// One for all `sources`, fragments too, so that they fit whatever they stand with: a name is the same in each. Entry
    /// points and overrides, which the Rust side calls by name, keep theirs.
    pub fn of(sources: &[&'a str]) -> Self {
        let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut given, mut kept) = (BTreeSet::new(), BTreeSet::new());
        kept.extend(PREDECLARED.split_whitespace());
        for source in sources {
            let code = tokens(source);
            let code: Vec<&str> = code.into_iter().filter(|t| !is_space(t)).collect();
            let mut entry = false;
            for (at, token) in code.iter().copied().enumerate() {
                entry |= at > 0 && code[at - 1] == "@" && token == "compute";
                if !is_word(token) {
                    continue;
                }
                *uses.entry(token).or_default() += 1;
                let before = if at > 0 { code[at - 1] } else { "" };
                let declares = match before {
                    "override" => {
                        kept.insert(token);
                        false
                    }
                    "fn" if std::mem::take(&mut entry) => {
                        kept.insert(token);
                        false
                    }
                    "fn" | "let" | "const" | "var" | "struct" | "alias" => true,
                    ">" => {
                        let opens = code[..at].iter().rposition(|t| *t == "<");
                        opens.is_some_and(|at| at > 0 && code[at - 1] == "var")
                    }
                    _ => code.get(at + 1) == Some(&":"),
                };
                if declares {
                    given.insert(token);
                }
            }
        }
        // Those of one letter are short, and `xy` may be two channels.
        let of_channels =
            |name: &str| name.len() > 1 && name.chars().any(|c| !"xyzwrgba".contains(c));
        let mut renamed: Vec<&str> = given.difference(&kept).copied().collect();
        renamed.retain(|name| of_channels(name) && uses[name] > 0);
        renamed.sort_by_key(|name| (std::cmp::Reverse(uses[name]), *name));
        let gone: BTreeSet<&str> = renamed.iter().copied().collect();
        let free = |name: &String| {
            let taken = uses.contains_key(name.as_str()) && !gone.contains(name.as_str());
            !taken && !KEYWORDS.contains(&name.as_str())
        };
        let mut short = short_names().filter(free);
        let pair = |name| short.next().map(|short| (name, short));
        Self(renamed.into_iter().map_while(pair).collect())
    }

    /// The shader with them.
    pub fn apply(&self, source: &str) -> String {
        let mut lean = String::new();
        let (mut spaced, mut before) = (false, [""; 3]);
        for token in tokens(source) {
            if is_space(token) {
                spaced = true;
                lean.extend(token.chars().filter(|c| *c == '\n'));
                continue;
            }
            let own = before[2] == "@" || (before[1] == "builtin" && before[2] == "(");
            let short = self.0.get(token).filter(|_| !own);
            let word = short.map_or(token, String::as_str);
            let fuse = |c: char, next: char| {
                let (word, operator) = (
                    |c: char| c.is_ascii_alphanumeric() || c == '_',
                    |c: char| "+-*/%&|^<>=!".contains(c),
                );
                (word(c) && word(next)) || (operator(c) && operator(next))
            };
            let ends = lean.chars().last().zip(word.chars().next());
            if spaced && ends.is_some_and(|(end, next)| fuse(end, next)) {
                lean.push(' ');
            }
            lean.push_str(word);
            before = [before[1], before[2], token];
            spaced = false;
        }
        lean
    }
}

/// `a`, .. `Z`, `aa`, `ab`, ..
fn short_names() -> impl Iterator<Item = String> {
    let letters = || ('a'..='z').chain('A'..='Z');
    let second = || ('a'..='z').chain('0'..='9');
    let two = letters().flat_map(move |a| second().map(move |b| format!("{a}{b}")));
    let three = letters()
        .flat_map(move |a| second().flat_map(move |b| second().map(move |c| format!("{a}{b}{c}"))));
    letters().map(String::from).chain(two).chain(three)
}

#[cfg(test)]
mod tests {
    use super::*;
    use naga::front::wgsl::parse_str;

    #[test]
    fn spaces_that_mean_something_stay() {
        let lean = Lean::of(&[]);
        for (wide, narrow) in [
            ("a - -b", "a- -b"),
            ("x / *p // y", "x/ *p"),
            ("let m : vec2<f32> = v;", "let m:vec2<f32> =v;"),
            (
                "1e-7 + 0xffu\n  // a\n\treturn v.x;",
                "1e-7+0xffu\n\nreturn v.x;",
            ),
        ] {
            assert_eq!(lean.apply(wide), narrow);
        }
    }

    /// What naga makes of a text, without names but those of entry points and overrides.
    fn meaning(name: &str, text: &str) -> String {
        let module =
            parse_str(text).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(text)));
        let entries: Vec<&str> = module
            .entry_points
            .iter()
            .map(|e| e.name.as_str())
            .collect();
        let overrides: Vec<_> = module.overrides.iter().map(|(_, o)| &o.name).collect();
        let called = format!("{entries:?} {overrides:?}");
        let whole = format!("{module:?}");
        // Every second piece is a string, which names are; where something stands in the text is none of its meaning.
        let bare: String = whole.split('"').step_by(2).collect();
        let mut spans = bare.split("Span {");
        let first = spans.next().unwrap_or_default().to_owned();
        let behind = |span: &str| span.split_once('}').map(|(_, rest)| rest.to_owned());
        called + &first + &spans.filter_map(behind).collect::<String>()
    }

    #[test]
    fn lean_shaders_mean_what_they_meant() {
        let shaders: BTreeMap<&str, _> = semivq::kernels::all()
            .into_iter()
            .map(|kernel| (kernel.shader.name, kernel.shader))
            .collect();
        let files = shaders.values().flat_map(|shader| {
            let fragments = shader.fragments.iter().map(|(_, text)| *text);
            fragments.chain([shader.source])
        });
        let lean = Lean::of(&files.collect::<Vec<_>>());
        for (name, shader) in &shaders {
            let text = shader.text();
            let short = lean.apply(&text);
            assert_eq!(short.lines().count(), text.lines().count(), "{name}");
            assert!(3 * short.len() < 2 * text.len(), "{name}: {short}");
            assert!(
                meaning(name, &short) == meaning(name, &text),
                "{name} is another shader:\n{short}"
            );
        }
    }
}
