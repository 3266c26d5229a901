//! Writes class files that look like those of a large build's tests, for measuring how fast they are read:
//! `cargo run --example synthetic -- 50000 FOLDER` writes `FOLDER/classes`, `FOLDER/classes.jar` with the same, and a
//! request for each: `FOLDER/dir.json`, `FOLDER/jar.json`.
//!
//! Of ten classes one is an abstract base with tests, six extend one, one has a nested class, one is that, one is a helper
//! without tests. They have 6 to 14 methods, fields, code and debug information; 4 to 5 KB each.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;

const CLASSES_PER_PACKAGE: usize = 50;
const PUBLIC: u16 = 0x0001;
const STATIC: u16 = 0x0008;
const SUPER: u16 = 0x0020;
const ABSTRACT: u16 = 0x0400;

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: synthetic COUNT FOLDER";
    let count: usize = std::env::args().nth(1).ok_or(usage)?.parse()?;
    let folder = std::env::args_os().nth(2).ok_or(usage)?;
    let folder = fs::canonicalize(fs::create_dir_all(&folder).map(|()| folder)?)?;
    let classes = folder.join("classes");
    let mut jar = zip::ZipWriter::new(std::io::BufWriter::new(fs::File::create(folder.join("classes.jar"))?));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let mut add = |path: &str, bytes: &[u8]| -> Result<(), Box<dyn Error>> {
        let file = classes.join(path);
        fs::create_dir_all(file.parent().ok_or("no folder")?)?;
        fs::write(file, bytes)?;
        jar.start_file(path, options)?;
        jar.write_all(bytes)?;
        Ok(())
    };
    let mut total = 0;
    for index in 0..count {
        let bytes = class(index);
        total += bytes.len();
        add(&(name(index) + ".class"), &bytes)?;
    }
    let engine = b"org.junit.jupiter.engine.JupiterTestEngine\n";
    add("META-INF/services/org.junit.platform.engine.TestEngine", engine)?;
    jar.finish()?;
    for (request, classes) in [("dir.json", classes.clone()), ("jar.json", folder.join("classes.jar"))] {
        fs::write(folder.join(request), self::request(&folder, &classes)?)?;
    }
    writeln!(std::io::stdout(), "classes={count} bytes={total}")?;
    Ok(())
}

fn request(folder: &Path, classes: &Path) -> Result<Vec<u8>, serde_json::Error> {
    let task = serde_json::json!({
        "path": ":test", "classDirs": [classes], "classpath": [classes], "launcherClasspath": [],
        "java": { "home": "/", "version": 17 }, "workingDir": folder, "enableAssertions": true,
        "framework": { "name": "junit-platform" }, "scanForTestClasses": true,
    });
    serde_json::to_vec_pretty(&serde_json::json!({
        "protocol": testfleet_protocol::VERSION, "buildName": "synthetic",
        "roots": { "project": folder, "build": folder, "gradleHome": folder },
        "resultsDir": folder.join("results"), "reportsDir": folder.join("reports"),
        "timingsFile": folder.join("timings.json"), "stateDir": folder.join("state"),
        "harnessJar": folder.join("harness.jar"), "agent": folder.join("agent"), "tasks": [task],
        "options": { "backend": "local", "workers": 2, "split": "class" },
    }))
}

/// What a class is in its ten.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Base,
    Derived,
    Outer,
    Nested,
    Helper,
}

fn role(index: usize) -> Role {
    match index % 10 {
        0 => Role::Base,
        7 => Role::Outer,
        8 => Role::Nested,
        9 => Role::Helper,
        _ => Role::Derived,
    }
}

fn name(index: usize) -> String {
    let package = index / CLASSES_PER_PACKAGE;
    let class = match role(index) {
        Role::Base => format!("AbstractOrderServiceTest{index}"),
        Role::Nested => return format!("{}$WhenThereIsNothing", name(index - 1)),
        Role::Helper => format!("OrderFixtures{index}"),
        _ => format!("OrderServiceTest{index}"),
    };
    format!("com/acme/shop/module{}/part{}/{class}", package / 20, package % 20)
}

/// A class file in the making.
#[derive(Default)]
struct Pool {
    bytes: Vec<u8>,
    count: u16,
    known: HashMap<Vec<u8>, u16>,
}

impl Pool {
    fn add(&mut self, constant: Vec<u8>) -> u16 {
        if let Some(index) = self.known.get(&constant) {
            return *index;
        }
        self.bytes.extend(&constant);
        self.count += 1;
        self.known.insert(constant, self.count);
        self.count
    }

    fn text(&mut self, text: &str) -> u16 {
        self.add([&[1], &(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat())
    }

    fn class(&mut self, name: &str) -> u16 {
        let name = self.text(name);
        self.add([&[7], &name.to_be_bytes()[..]].concat())
    }

    fn string(&mut self, text: &str) -> u16 {
        let text = self.text(text);
        self.add([&[8], &text.to_be_bytes()[..]].concat())
    }

    fn method(&mut self, class: &str, name: &str, descriptor: &str) -> u16 {
        let (class, name, descriptor) = (self.class(class), self.text(name), self.text(descriptor));
        let both = self.add([&[12], &name.to_be_bytes()[..], &descriptor.to_be_bytes()].concat());
        self.add([&[10], &class.to_be_bytes()[..], &both.to_be_bytes()].concat())
    }

    fn attribute(&mut self, name: &str, content: &[u8]) -> Vec<u8> {
        let name = self.text(name);
        [&name.to_be_bytes()[..], &(content.len() as u32).to_be_bytes(), content].concat()
    }

    /// `RuntimeVisibleAnnotations`, each with texts as its `value`.
    fn annotations(&mut self, annotations: &[(&str, &[&str])]) -> Vec<u8> {
        let mut content = (annotations.len() as u16).to_be_bytes().to_vec();
        for (name, values) in annotations {
            content.extend(self.text(&format!("Lorg/junit/jupiter/{name};")).to_be_bytes());
            content.extend(u16::from(!values.is_empty()).to_be_bytes());
            if !values.is_empty() {
                content.extend(self.text("value").to_be_bytes());
                if values.len() > 1 {
                    content.push(b'[');
                    content.extend((values.len() as u16).to_be_bytes());
                }
                for value in *values {
                    content.push(b's');
                    content.extend(self.text(value).to_be_bytes());
                }
            }
        }
        self.attribute("RuntimeVisibleAnnotations", &content)
    }

    /// Some code that calls and returns, with line numbers.
    fn code(&mut self, seed: usize) -> Vec<u8> {
        let mut code = Vec::new();
        let mut lines = Vec::new();
        for call in 0..4 + seed % 5 {
            lines.push([(code.len() as u16).to_be_bytes(), (20 + call as u16).to_be_bytes()].concat());
            let text = self.string(&format!("order {} of customer {} is there", seed % 97, call));
            let method = self.method(
                &format!("com/acme/shop/orders/Service{}", seed % 31),
                ["find", "save", "assertThat", "isEqualTo"][call % 4],
                "(Ljava/lang/Object;)Lcom/acme/shop/orders/Order;",
            );
            code.push(0x13); // ldc_w
            code.extend(text.to_be_bytes());
            code.push(0xB8); // invokestatic
            code.extend(method.to_be_bytes());
            code.push(0x57); // pop
        }
        code.push(0xB1); // return
        let table =
            self.attribute("LineNumberTable", &[&(lines.len() as u16).to_be_bytes()[..], &lines.concat()].concat());
        let mut content = [0, 2, 0, 4].to_vec(); // stack, locals
        content.extend((code.len() as u32).to_be_bytes());
        content.extend(code);
        content.extend([0, 0, 0, 1]); // no handlers, one attribute
        content.extend(table);
        self.attribute("Code", &content)
    }
}

/// A member of a class file: flags, name, descriptor, attributes.
fn member(pool: &mut Pool, flags: u16, name: &str, descriptor: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let (name, descriptor) = (pool.text(name), pool.text(descriptor));
    let head = [flags, name, descriptor, attributes.len() as u16].map(u16::to_be_bytes).concat();
    [head, attributes.concat()].concat()
}

fn methods(pool: &mut Pool, index: usize, role: Role) -> Vec<Vec<u8>> {
    let init = pool.code(index);
    let mut methods = vec![member(pool, PUBLIC, "<init>", "()V", &[init])];
    for at in 0..6 + index % 9 {
        let code = pool.code(index * 17 + at);
        let name = format!("returnsWhatWasSavedBefore{at}Of{}", index % 7);
        let annotations = match (role, at % 6) {
            (Role::Helper, _) => {
                methods.push(member(pool, PUBLIC | STATIC, &name, "(ILjava/lang/String;)V", &[code]));
                continue;
            }
            (_, 0) => pool.annotations(&[("api/BeforeEach", &[])]),
            (_, 1) => {
                pool.annotations(&[("params/ParameterizedTest", &[]), ("params/provider/ValueSource", &["a", "b"])])
            }
            (_, 2) => pool.annotations(&[("api/Test", &[]), ("api/DisplayName", &["what was saved is found"])]),
            (_, 3) if index.is_multiple_of(3) => pool.annotations(&[("api/Test", &[]), ("api/Tag", &["slow"])]),
            _ => pool.annotations(&[("api/Test", &[])]),
        };
        let descriptor = if at % 6 == 1 { "(Ljava/lang/String;)V" } else { "()V" };
        methods.push(member(pool, 0, &name, descriptor, &[annotations, code]));
    }
    methods
}

fn class(index: usize) -> Vec<u8> {
    let role = role(index);
    let mut pool = Pool::default();
    let own = name(index);
    let superclass = match role {
        Role::Derived | Role::Outer => name(index - index % 10),
        _ => "java/lang/Object".to_owned(),
    };
    let flags = SUPER | if role == Role::Base { ABSTRACT } else { PUBLIC };
    let (this, superclass) = (pool.class(&own), pool.class(&superclass));
    let fields: Vec<_> =
        (0..3).map(|at| member(&mut pool, 0, &format!("orders{at}"), "Lcom/acme/shop/orders/Orders;", &[])).collect();
    let methods = methods(&mut pool, index, role);
    let source = pool.text("OrderServiceTest.java");
    let mut attributes = vec![pool.attribute("SourceFile", &source.to_be_bytes())];
    if matches!(role, Role::Outer | Role::Nested) {
        let outer = if role == Role::Outer { own.clone() } else { name(index - 1) };
        let inner = pool.class(&format!("{outer}$WhenThereIsNothing"));
        let (outer, simple) = (pool.class(&outer), pool.text("WhenThereIsNothing"));
        attributes.push(pool.attribute("InnerClasses", &[1, inner, outer, simple, 0].map(u16::to_be_bytes).concat()));
    }
    if role == Role::Nested {
        attributes.push(pool.annotations(&[("api/Nested", &[])]));
    }
    let mut bytes = vec![0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 61];
    bytes.extend((pool.count + 1).to_be_bytes());
    bytes.extend(&pool.bytes);
    bytes.extend([flags, this, superclass, 0].map(u16::to_be_bytes).concat());
    for members in [fields, methods, attributes] {
        bytes.extend((members.len() as u16).to_be_bytes());
        bytes.extend(members.concat());
    }
    bytes
}
