// SPDX-License-Identifier: Apache-2.0
// Times a vault without FUSE: what of an operation's cost is the store's.
//
// Usage: store_bench WORKLOAD DIR [COUNT]: makes the vault DIR/bench.vault anew and prints `metric value unit` lines.
// Beside the wall clock it shows the processor time of the whole process, which other programs disturb less. As root it
// drops the kernel's caches before what is called cold. Built by `ninja store_bench`.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/secret.h"
#include "store/content.h"
#include "store/tree.h"
#include "store/vault.h"

namespace tain::store {
namespace {

constexpr int kPerFolder = 100;
constexpr size_t kEntrySize = 1500;       // a page of a journal
constexpr size_t kSourceFileSize = 9700;  // a file of a source tree, about

template <class T>
T need(Result<T> result, const char* what) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s: %s\n", what, result.error().message().c_str());
    std::exit(1);
  }
  return std::move(result).value();
}
void need(const Result<>& result, const char* what) {
  if (result.ok()) return;
  std::fprintf(stderr, "%s: %s\n", what, result.error().message().c_str());
  std::exit(1);
}

double wall() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double processor() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Prints what one of `count` operations took between construction and end().
class Phase {
 public:
  Phase(const char* name, int count) : name_(name), count_(count) {}
  void end() const {
    std::printf("%-20s %9.1f us wall %9.1f us processor\n", name_, (wall() - wall_) / count_ * 1e6,
                (processor() - processor_) / count_ * 1e6);
  }

 private:
  const char* name_;
  const int count_;
  const double wall_ = wall(), processor_ = processor();
};

class Bench {
 public:
  Bench(const std::string& folder, int count) : path_(folder + "/bench.vault"), count_(count) {
    std::filesystem::remove_all(path_);
    need(Vault::create(path_, {.suite = {}, .kdf = kKdfFloor}, password_), "create");
    open();
  }
  ~Bench() {
    need(vault_->close(), "close");
    vault_.reset();
    std::filesystem::remove_all(path_);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  void create() { make_files(count_, kEntrySize); }
  void untar() { make_files(count_, kSourceFileSize); }

  void cold() {
    make_files(count_, kEntrySize);
    reopen_cold();
    std::vector<Ino> files;
    const Phase list("list+getattr, cold", count_);
    for_each_entry(kRootIno, [&](const ListItem& folder) {
      for_each_entry(folder.ino, [&](const ListItem& file) { files.push_back(file.ino); });
    });
    for (const Ino file : files) need(tree().getattr(file), "getattr");
    list.end();
    reopen_cold();
    Bytes buffer(kBlockSize);
    const Phase read("read, cold", count_);
    for_each_entry(kRootIno, [&](const ListItem& folder) {
      for_each_entry(folder.ino, [&](const ListItem& file) {
        need(tree().getattr(file.ino), "getattr");
        need(vault_->content().read(file.ino, 0, buffer), "read");
      });
    });
    read.end();
  }

  void save() {
    const Bytes text = bytes_of(kEntrySize);
    std::vector<double> times, first, second, others;
    const Ino folder = need(tree().make(kRootIno, "notes", {.mode = S_IFDIR | 0755, .symlink = {}}), "mkdir").ino;
    const Phase all("save", count_);
    for (int i = 0; i < count_; ++i) {
      const std::string name = std::to_string(i % 50) + ".md";
      const double start = wall();
      const Ino file = need(tree().make(folder, ".tmp", {.mode = S_IFREG | 0644, .symlink = {}}), "make").ino;
      need(vault_->content().write(file, 0, text), "write");
      const double before_flush = wall();
      need(vault_->fsync(file), "fsync");
      first.push_back(wall() - before_flush);
      const auto replaced = need(tree().rename(folder, ".tmp", folder, name, RenameMode::replace), "rename");
      if (replaced.has_value() && replaced->orphan) need(tree().reap(replaced->ino), "reap");
      const double before_second = wall();
      need(vault_->fsync(folder), "fsync folder");
      second.push_back(wall() - before_second);
      times.push_back(wall() - start);
      others.push_back(times.back() - first.back() - second.back());
    }
    all.end();
    show("  whole", times);
    show("  without fsync", others);
    show("  fsync of the file", first);
    show("  fsync of the folder", second);
    std::printf("  commits %lu\n", static_cast<unsigned long>(counted(Work::commits)));
  }

  /// Pages of a database: three in a file of 4 MiB, then fsync.
  void pages() {
    const Ino file = need(tree().make(kRootIno, "db", {.mode = S_IFREG | 0644, .symlink = {}}), "make").ino;
    need(vault_->content().write(file, 0, bytes_of(size_t{4} << 20)), "write");
    need(vault_->sync(), "sync");
    const Bytes page = bytes_of(kCellSize);
    std::vector<double> times;
    const Phase all("pages", count_);
    for (int i = 0; i < count_; ++i) {
      for (int k = 0; k < 3; ++k)
        need(vault_->content().write(file, static_cast<uint64_t>(std::rand()) % 1024 * kCellSize, page), "write");
      const double start = wall();
      need(vault_->fsync(file), "fsync");
      times.push_back(wall() - start);
    }
    all.end();
    show("  fsync", times);
  }

  /// COUNT megabytes, then fsync.
  void seqwrite() {
    const Bytes chunk = bytes_of(size_t{1} << 20);
    const uint64_t copied = counted(Work::bytes_copied);
    const Ino file = need(tree().make(kRootIno, "big", {.mode = S_IFREG | 0644, .symlink = {}}), "make").ino;
    const Phase all("seqwrite, a MiB", count_);
    double longest = 0;
    const double start = wall();
    for (int i = 0; i < count_; ++i) {
      const double before = wall();
      need(vault_->content().write(file, static_cast<uint64_t>(i) << 20, chunk), "write");
      longest = std::max(longest, wall() - before);
    }
    const double written = wall();
    need(vault_->fsync(file), "fsync");
    const double end = wall();
    all.end();
    std::printf("  %.0f MiB/s; writes %.2f s, longest %.0f ms; fsync %.2f s; commits %lu; bytes copied per byte %.2f\n",
                count_ / (end - start), written - start, longest * 1e3, end - written,
                static_cast<unsigned long>(counted(Work::commits)),
                static_cast<double>(counted(Work::bytes_copied) - copied) / (static_cast<double>(count_) * (1 << 20)));
  }

 private:
  Tree& tree() { return vault_->tree(); }
  void open() { vault_ = need(Vault::open(path_, {}, password_), "open"); }

  void reopen_cold() {
    need(vault_->close(), "close");
    vault_.reset();
    ::sync();
    const int fd = ::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ::write(fd, "3", 1) != 1) std::printf("(the caches could not be dropped)\n");
    if (fd >= 0) ::close(fd);
    open();
  }

  void make_files(int count, size_t size) {
    const Bytes text = bytes_of(size);
    const Phase all("make+write+commit", count);
    const Phase made("  make+write", count);
    Ino folder{};
    for (int i = 0; i < count; ++i) {
      if (i % kPerFolder == 0)
        folder = need(tree().make(kRootIno, std::to_string(i), {.mode = S_IFDIR | 0755, .symlink = {}}), "mkdir").ino;
      const std::string name = std::to_string(i) + ".md";
      const Ino file = need(tree().make(folder, name, {.mode = S_IFREG | 0644, .symlink = {}}), "make").ino;
      need(vault_->content().write(file, 0, text), "write");
    }
    made.end();
    const Phase committed("  commit", count);
    need(vault_->sync(), "sync");
    committed.end();
    all.end();
  }

  void for_each_entry(Ino folder, const std::function<void(const ListItem&)>& use) {
    std::vector<ListItem> items;
    need(tree().list(folder, Cookie{},
                     [&](const ListItem& item) {
                       if (item.name != "." && item.name != "..") items.push_back(item);
                       return true;
                     }),
         "list");
    for (const ListItem& item : items) use(item);
  }

  static Bytes bytes_of(size_t size) {
    Bytes out(size);
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>('a' + i % 26);
    return out;
  }

  static void show(const char* name, std::vector<double>& times) {
    std::sort(times.begin(), times.end());
    const auto at = [&](size_t percent) {
      return times[std::min(times.size() - 1, times.size() * percent / 100)] * 1e6;
    };
    std::printf("%-20s p50 %7.0f us, p90 %7.0f us, p99 %7.0f us\n", name, at(50), at(90), at(99));
  }

  const std::string path_;
  const int count_;
  const Secret password_ = Secret::copy_of(as_bytes("correct horse"));
  std::unique_ptr<Vault> vault_;
};

}  // namespace
}  // namespace tain::store

int main(int argc, char** argv) {
  using tain::store::Bench;
  using tain::store::need;
  struct Workload {
    void (Bench::*run)();
    int count;
  };
  const std::map<std::string, Workload> workloads{
      {"create", {&Bench::create, 4000}}, {"untar", {&Bench::untar, 13'500}}, {"cold", {&Bench::cold, 4000}},
      {"save", {&Bench::save, 2000}},     {"pages", {&Bench::pages, 2000}},   {"seqwrite", {&Bench::seqwrite, 512}},
  };
  const auto found = argc >= 3 ? workloads.find(argv[1]) : workloads.end();
  if (found == workloads.end()) {
    std::fprintf(stderr, "usage: store_bench create|untar|cold|save|pages|seqwrite DIR [COUNT]\n");
    return 2;
  }
  need(tain::init_crypto(), "libsodium");
  Bench bench(argv[2], argc > 3 ? std::atoi(argv[3]) : found->second.count);
  (bench.*found->second.run)();
  return 0;
}
