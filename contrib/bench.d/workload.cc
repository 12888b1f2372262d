// SPDX-License-Identifier: Apache-2.0
// The inner loops of contrib/bench, which times folders on different file systems with them.
//
// Usage: workload NAME DIR COUNT [TOTAL]. TOTAL: how many entries `create` has made in DIR, to choose from. Prints `metric value` lines; values are per second. Compiled by contrib/bench, so
// that no interpreter stands between the clock and the system calls.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace {

constexpr size_t kEntrySize = 1500;  // a page of a journal
constexpr int kPerFolder = 100;
constexpr size_t kPage = 4096;

void need(bool condition, const std::string& what) {
  if (condition) return;
  std::perror(what.c_str());
  std::exit(1);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// A small generator of our own: the same sequence on every machine, and no cost worth measuring.
class Sequence {
 public:
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

 private:
  uint64_t state_ = 88172645463325252ULL;
};

std::string text(size_t size, uint64_t salt) {
  std::string result;
  while (result.size() < size) result += "entry " + std::to_string(salt * 31 + result.size()) + " of a journal\n";
  result.resize(size);
  return result;
}

std::string folder(const std::string& dir, int i) {
  return dir + "/" + std::to_string(2000 + i / kPerFolder);
}
std::string entry(const std::string& dir, int i) {
  return folder(dir, i) + "/" + std::to_string(i) + ".md";
}

void write_all(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    need(n > 0, "write");
    data += n;
    size -= static_cast<size_t>(n);
  }
}

void put(const std::string& path, const std::string& data, bool sync) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  need(fd >= 0, path);
  write_all(fd, data.data(), data.size());
  if (sync) need(::fsync(fd) == 0, "fsync");
  need(::close(fd) == 0, "close");
}

void report(const char* metric, double value) {
  std::printf("%s %.6g\n", metric, value);
}

void create(const std::string& dir, int count) {
  const std::string data = text(kEntrySize, 1);
  const double start = now();
  for (int i = 0; i < count; ++i) {
    if (i % kPerFolder == 0) need(::mkdir(folder(dir, i).c_str(), 0755) == 0, "mkdir");
    put(entry(dir, i), data, false);
  }
  report("create", count / (now() - start));
}

/// As ls -l: names by readdir, then a stat for each. How many files there were.
int list_folder(const std::string& path) {
  int seen = 0;
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  need(fd >= 0, path);
  DIR* const stream = ::fdopendir(fd);
  while (const dirent* const e = ::readdir(stream)) {
    struct stat st {};
    need(::fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0, e->d_name);
    if (S_ISREG(st.st_mode)) ++seen;
  }
  ::closedir(stream);
  return seen;
}

/// The attributes of entries anywhere in DIR, by name.
void look_up(const std::string& dir, int count, int total) {
  Sequence sequence;
  const double start = now();
  for (int i = 0; i < count; ++i) {
    const auto which = static_cast<int>(sequence.next() % static_cast<uint64_t>(total));
    struct stat st {};
    need(::stat(entry(dir, which).c_str(), &st) == 0, "stat");
  }
  report("lookup", count / (now() - start));
}

/// Folders anywhere in DIR, until `count` entries have been listed with their attributes.
void list_some(const std::string& dir, int count, int total) {
  Sequence sequence;
  const double start = now();
  int seen = 0;
  while (seen < count) {
    const auto which = static_cast<int>(sequence.next() % static_cast<uint64_t>(total));
    seen += list_folder(folder(dir, which));
  }
  report("list", seen / (now() - start));
}

void list_and_stat(const std::string& dir, int count) {
  const double start = now();
  int seen = 0;
  for (int i = 0; i < count; i += kPerFolder) seen += list_folder(folder(dir, i));
  need(seen == count, "all entries listed");
  report("stat", count / (now() - start));
}

void read_all(const std::string& dir, int count) {
  std::vector<char> buffer(65536);
  const double start = now();
  for (int i = 0; i < count; ++i) {
    const int fd = ::open(entry(dir, i).c_str(), O_RDONLY | O_CLOEXEC);
    need(fd >= 0, "open");
    need(::read(fd, buffer.data(), buffer.size()) == static_cast<ssize_t>(kEntrySize), "read");
    ::close(fd);
  }
  report("read", count / (now() - start));
}

void remove_all(const std::string& dir, int count) {
  const double start = now();
  for (int i = 0; i < count; ++i) need(::unlink(entry(dir, i).c_str()) == 0, "unlink");
  for (int i = 0; i < count; i += kPerFolder) need(::rmdir(folder(dir, i).c_str()) == 0, "rmdir");
  report("delete", count / (now() - start));
}

/// As a careful editor saves: temporary file, fsync, rename, fsync of the folder.
void save(const std::string& dir, int count) {
  const std::string path = dir + "/document.md";
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const std::string data = text(8000, static_cast<uint64_t>(i));
    const double start = now();
    put(path + ".tmp", data, true);
    need(::rename((path + ".tmp").c_str(), path.c_str()) == 0, "rename");
    const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    need(::fsync(fd) == 0, "fsync of a folder");
    ::close(fd);
    times.push_back(now() - start);
  }
  std::sort(times.begin(), times.end());
  report("save_p50", 1 / times[times.size() / 2]);
  report("save_p99", 1 / times[times.size() * 99 / 100]);
}

void write_sequentially(const std::string& dir, int megabytes) {
  const std::string data = text(size_t{1} << 20, 2);
  const std::string path = dir + "/big";
  const double start = now();
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  need(fd >= 0, path);
  for (int i = 0; i < megabytes; ++i) write_all(fd, data.data(), data.size());
  need(::fsync(fd) == 0, "fsync");
  ::close(fd);
  report("seqwrite", megabytes / (now() - start));
}

void read_sequentially(const std::string& dir, int megabytes) {
  std::vector<char> buffer(size_t{1} << 20);
  const double start = now();
  const int fd = ::open((dir + "/big").c_str(), O_RDONLY | O_CLOEXEC);
  need(fd >= 0, "open");
  size_t total = 0;
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    need(n >= 0, "read");
    if (n == 0) break;
    total += static_cast<size_t>(n);
  }
  ::close(fd);
  need(total == static_cast<size_t>(megabytes) << 20, "whole file read");
  report("seqread", megabytes / (now() - start));
}

off_t random_page(Sequence& sequence, off_t size) {
  return static_cast<off_t>(sequence.next() % (static_cast<uint64_t>(size) / kPage) * kPage);
}

void read_randomly(const std::string& dir, int count) {
  const int fd = ::open((dir + "/big").c_str(), O_RDONLY | O_CLOEXEC);
  need(fd >= 0, "open");
  const off_t size = ::lseek(fd, 0, SEEK_END);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  std::vector<char> buffer(kPage);
  Sequence sequence;
  const double start = now();
  for (int i = 0; i < count; ++i) {
    need(::pread(fd, buffer.data(), kPage, random_page(sequence, size)) == static_cast<ssize_t>(kPage), "pread");
  }
  report("randread", count / (now() - start));
  ::close(fd);
}

/// Many random page writes, then one fsync: what a program does that checkpoints.
void write_randomly(const std::string& dir, int count) {
  const int fd = ::open((dir + "/big").c_str(), O_WRONLY | O_CLOEXEC);
  need(fd >= 0, "open");
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const std::string data = text(kPage, 3);
  Sequence sequence;
  const double start = now();
  for (int i = 0; i < count; ++i) {
    need(::pwrite(fd, data.data(), kPage, random_page(sequence, size)) == static_cast<ssize_t>(kPage), "pwrite");
  }
  need(::fsync(fd) == 0, "fsync");
  report("randwrite", count / (now() - start));
  ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  const int total = argc == 5 ? std::atoi(argv[4]) : 0;
  const std::map<std::string, std::function<void(const std::string&, int)>> loops{
      {"create", create},
      {"stat", list_and_stat},
      {"read", read_all},
      {"delete", remove_all},
      {"save", save},
      {"seqwrite", write_sequentially},
      {"seqread", read_sequentially},
      {"randread", read_randomly},
      {"randwrite", write_randomly},
      {"lookup", [total](const std::string& dir, int count) { look_up(dir, count, total); }},
      {"list", [total](const std::string& dir, int count) { list_some(dir, count, total); }},
  };
  const auto loop = argc == 4 || argc == 5 ? loops.find(argv[1]) : loops.end();
  if (loop == loops.end() || ((loop->first == "lookup" || loop->first == "list") && total < 1)) {
    std::fprintf(stderr, "usage: workload NAME DIR COUNT [TOTAL]\n");
    return 2;
  }
  loop->second(argv[2], std::atoi(argv[3]));
  return 0;
}
