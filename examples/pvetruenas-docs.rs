//! Makes the manual pages and the completion of pvetruenas from the table that its parser is made of:
//! `cargo run --features fake-node --example pvetruenas-docs`. A test compares them.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use pve_storage_truenas::tool::Arguments;

/// Names below the checkout, and contents.
pub fn documents() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut tool = Arguments::command();
    tool.build();
    let mut documents = vec![("man/pvetruenas.8".to_owned(), page(&tool, "pvetruenas")?)];
    for verb in tool.get_subcommands() {
        pages(verb, &format!("pvetruenas-{}", verb.get_name()), &mut documents)?;
    }
    let mut completion = Vec::new();
    clap_complete::generate(
        Shell::Bash,
        &mut Arguments::command(),
        "pvetruenas",
        &mut completion,
    );
    documents.push(("man/bash-completion/pvetruenas".to_owned(), completion));
    Ok(documents)
}

/// Of a verb, and of the verbs behind it.
fn pages(verb: &Command, name: &str, documents: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    documents.push((format!("man/{name}.8"), page(verb, name)?));
    for inner in verb.get_subcommands() {
        pages(inner, &format!("{name}-{}", inner.get_name()), documents)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let package = format!("pve-storage-truenas {}", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command.clone())
        .title(name.to_uppercase())
        .section("8")
        .source(package)
        .manual("Proxmox VE storage")
        .render(&mut page)?;
    let page = String::from_utf8(page).map_err(io::Error::other)?;
    // As sections of other pages are called.
    let page = page
        .replace(".SH EXTRA", ".SH NOTES")
        .replace(".SH Verbs", ".SH VERBS");
    Ok((page + ".SH \"SEE ALSO\"\n.BR truenasplugin (5),\n.BR pvesm (1)\n").into_bytes())
}

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, content) in documents()? {
        fs::write(root.join(name), content)?;
    }
    Ok(())
}
