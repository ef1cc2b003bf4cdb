//! Compiles `shop.proto` into the folder that is the first argument.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let into = PathBuf::from(env::args_os().nth(1).ok_or("into which folder?")?);
    let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let descriptors = protox::compile(["shop.proto"], [proto])?;
    // Without where in the source what is.
    let mut bare = descriptors.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    fs::write(into.join("shop.bin"), bare.encode_to_vec())?;
    tonic_prost_build::configure().out_dir(&into).compile_fds(descriptors)?;
    fs::rename(into.join("shop.v1.rs"), into.join("shop.rs"))?;
    Ok(())
}
