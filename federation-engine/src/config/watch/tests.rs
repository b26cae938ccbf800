use std::os::unix::fs::symlink;

use super::*;

/// Well below [`RECHECK_INTERVAL`]: a change noticed within it was reported by an event.
async fn noticed(watch: &mut FileWatch) {
    tokio::time::timeout(Duration::from_secs(30), watch.changed()).await.unwrap();
}

/// Longer than a burst takes to be reported.
async fn unnoticed(watch: &mut FileWatch) {
    assert!(timeout(QUIET_INTERVAL * 5, watch.changed()).await.is_err());
}

fn watch(files: &[&Path]) -> FileWatch {
    let mut watch = FileWatch::new();
    assert!(watch.watcher.is_some(), "this machine has no file watches left");
    watch.set(files.iter().copied());
    watch
}

/// A volume as the kubelet writes it: `file -> ..data/file`, `..data -> ..<generation>`.
struct Volume(tempfile::TempDir);

impl Volume {
    fn new(file: &str, content: &str) -> Self {
        let volume = Self(tempfile::tempdir().unwrap());
        volume.generation("..1", file, content);
        symlink("..1", volume.0.path().join("..data")).unwrap();
        symlink(Path::new("..data").join(file), volume.0.path().join(file)).unwrap();
        volume
    }

    fn generation(&self, name: &str, file: &str, content: &str) {
        fs::create_dir(self.0.path().join(name)).unwrap();
        fs::write(self.0.path().join(name).join(file), content).unwrap();
    }

    fn swap(&self, old: &str, new: &str, file: &str, content: &str) {
        let root = self.0.path();
        self.generation(new, file, content);
        symlink(new, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        fs::remove_dir_all(root.join(old)).unwrap();
    }
}

#[tokio::test]
async fn the_swap_of_a_kubernetes_volume_is_noticed_every_time() {
    let volume = Volume::new("tls.crt", "first");
    let file = volume.0.path().join("tls.crt");
    let mut watch = watch(&[&file]);
    for (old, new) in [("..1", "..2"), ("..2", "..3"), ("..3", "..4")] {
        volume.swap(old, new, "tls.crt", new);
        noticed(&mut watch).await;
        assert_eq!(fs::read_to_string(&file).unwrap(), new);
        unnoticed(&mut watch).await;
    }
}

#[tokio::test]
async fn writing_renaming_over_deleting_and_creating_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("engine.yaml");
    fs::write(&file, "a").unwrap();
    let mut watch = watch(&[&file]);

    fs::write(&file, "ab").unwrap();
    noticed(&mut watch).await;
    fs::write(directory.path().join("new"), "b").unwrap();
    fs::rename(directory.path().join("new"), &file).unwrap();
    noticed(&mut watch).await;
    fs::remove_file(&file).unwrap();
    noticed(&mut watch).await;
    fs::write(&file, "c").unwrap();
    noticed(&mut watch).await;
}

#[tokio::test]
async fn a_file_in_a_directory_that_does_not_exist_yet_is_noticed_when_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("later/deeper/secret");
    let mut watch = watch(&[&file]);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "s").unwrap();
    noticed(&mut watch).await;
    fs::write(&file, "st").unwrap();
    noticed(&mut watch).await;
}

#[tokio::test]
async fn reading_and_neighbours_are_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("engine.yaml");
    fs::write(&file, "a").unwrap();
    let mut watch = watch(&[&file]);
    fs::read(&file).unwrap();
    fs::write(directory.path().join("neighbour"), "x").unwrap();
    unnoticed(&mut watch).await;
}

#[tokio::test]
async fn a_change_before_anybody_waits_is_not_lost_and_a_new_set_forgets_the_old() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    fs::write(&one, "1").unwrap();
    let mut watch = watch(&[&one]);
    fs::write(&one, "11").unwrap();
    watch.set([one.as_path(), two.as_path()]);
    noticed(&mut watch).await;

    watch.set([two.as_path()]);
    fs::write(&one, "111").unwrap();
    unnoticed(&mut watch).await;
    fs::write(&two, "2").unwrap();
    noticed(&mut watch).await;
}

#[tokio::test]
async fn a_link_to_another_directory_is_followed() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(there.path().join("ca.crt"), "1").unwrap();
    let link = here.path().join("ca.crt");
    symlink(there.path().join("ca.crt"), &link).unwrap();
    let mut watch = watch(&[&link]);
    fs::write(there.path().join("ca.crt"), "12").unwrap();
    noticed(&mut watch).await;
}
