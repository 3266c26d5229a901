//! What Maven's POMs refer to: parents, and the POMs that they import (<https://maven.apache.org/pom.html>).

use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::BTreeMap;

/// Elements lie no deeper in what is read here.
const DEEPEST: usize = 64;
/// Properties name properties no deeper.
const MOST_ROUNDS: usize = 16;
/// Longest text of a coordinate, in bytes.
const LONGEST: usize = 1_000;

/// A module of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Module {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Module {
    /// `group:name:version`
    pub(crate) fn of_notation(text: &str) -> Option<Self> {
        let mut parts = text.split(':').map(str::to_owned);
        let module = Self { group: parts.next()?, name: parts.next()?, version: parts.next()? };
        (parts.next().is_none() && module.is_plain()).then_some(module)
    }

    /// Whether its parts are names of folders.
    fn is_plain(&self) -> bool {
        let is_name = |part: &String| {
            !matches!(part.as_str(), "" | "." | "..") && part.len() <= LONGEST && !part.contains(['/', '\\', '\0', '$'])
        };
        [&self.group, &self.name, &self.version].into_iter().all(is_name)
    }
}

/// The part of a POM that says where else to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pom {
    pub(crate) parent: Option<Module>,
    own: Module,
    properties: BTreeMap<String, String>,
    /// With properties in them that are not replaced yet.
    imports: Vec<Module>,
}

impl Pom {
    /// Reads a POM.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        // What is read here is ASCII, whatever the encoding of the rest is.
        let document = String::from_utf8_lossy(bytes);
        let mut reader = Reader::from_str(&document);
        let (mut pom, mut parent, mut managed) = (Self::default(), Module::default(), Managed::default());
        let (mut path, mut text): (Vec<String>, String) = (Vec::new(), String::new());
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => {
                    if path.len() == DEEPEST {
                        return Err("its elements are nested too deeply".to_owned());
                    }
                    path.push(start.local_name().as_ref().to_owned());
                    text.clear();
                }
                Event::Text(part) => text.push_str(&part),
                Event::End(_) => {
                    let names: Vec<&str> = path.iter().map(String::as_str).collect();
                    let value = text.trim();
                    match names.as_slice() {
                        ["project", "parent", field] => set(&mut parent, field, value),
                        ["project", "properties", name] => {
                            pom.properties.insert((*name).to_owned(), value.to_owned());
                        }
                        ["project", "dependencyManagement", "dependencies", "dependency"] => {
                            let done = std::mem::take(&mut managed);
                            pom.imports.extend((done.scope == "import").then_some(done.module));
                        }
                        ["project", "dependencyManagement", "dependencies", "dependency", "scope"] => {
                            managed.scope = value.to_owned();
                        }
                        ["project", "dependencyManagement", "dependencies", "dependency", field] => {
                            set(&mut managed.module, field, value);
                        }
                        ["project", field] => set(&mut pom.own, field, value),
                        _ => {}
                    }
                    path.pop();
                    text.clear();
                }
                Event::Eof => break,
                _ => {}
            }
        }
        pom.parent = Some(parent).filter(Module::is_plain);
        Ok(pom)
    }
}

#[derive(Default)]
struct Managed {
    module: Module,
    scope: String,
}

fn set(module: &mut Module, field: &str, value: &str) {
    match field {
        "groupId" => value.clone_into(&mut module.group),
        "artifactId" => value.clone_into(&mut module.name),
        "version" => value.clone_into(&mut module.version),
        _ => {}
    }
}

/// What a POM refers to that is given with its parents, itself first: they are, and all import with its properties.
pub(crate) fn references(chain: &[Pom]) -> Vec<Module> {
    let imports = chain.iter().flat_map(|pom| &pom.imports).map(|import| Module {
        group: interpolate(&import.group, chain),
        name: interpolate(&import.name, chain),
        version: interpolate(&import.version, chain),
    });
    chain.iter().filter_map(|pom| pom.parent.clone()).chain(imports.filter(Module::is_plain)).collect()
}

fn interpolate(text: &str, chain: &[Pom]) -> String {
    let mut text = text.to_owned();
    for _ in 0..MOST_ROUNDS {
        let Some((before, rest)) = text.split_once("${") else { break };
        let Some((name, after)) = rest.split_once('}') else { break };
        let Some(value) = property(name, chain) else { break };
        text = format!("{before}{value}{after}");
        if text.len() > LONGEST {
            break;
        }
    }
    text
}

fn property(name: &str, chain: &[Pom]) -> Option<String> {
    if let Some(value) = chain.iter().find_map(|pom| pom.properties.get(name)) {
        return Some(value.clone());
    }
    let pom = chain.first()?;
    let parent = pom.parent.clone().unwrap_or_default();
    let either = |own: &String, inherited: String| if own.is_empty() { inherited } else { own.clone() };
    let value = match name.trim_start_matches("project.").trim_start_matches("pom.") {
        "groupId" => either(&pom.own.group, parent.group),
        "version" => either(&pom.own.version, parent.version),
        "artifactId" => pom.own.name.clone(),
        "parent.groupId" => parent.group,
        "parent.version" => parent.version,
        _ => return None,
    };
    Some(value)
}
