#include "rules.hpp"

#include <functional>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace leat::layering {
namespace {

bool ends_with(const std::string& text, const std::string& tail) {
  return text.size() >= tail.size() && text.compare(text.size() - tail.size(), tail.size(), tail) == 0;
}

bool is_test(const std::string& path) {
  return ends_with(path, "_test.cpp") || ends_with(path, "_bench.cpp") ||
         path.find("test_support") != std::string::npos;
}

std::string at(const std::string& path, int line) {
  return "leat/" + path + ":" + std::to_string(line) + ": ";
}

void words_into(Names& names, const std::string& text) {
  std::istringstream words(text);
  for (std::string word; words >> word;) names.insert(word);
}

// An #include below leat/: is the target's row among what the file's row may include?
void check_direction(const Table& table, const std::string& path, int line, const std::string& target,
                     std::vector<std::string>& out) {
  const std::string from = table.row_of(path);
  const std::string to = table.row_of(target);
  if (to.empty()) {
    out.push_back(at(path, line) + "includes leat/" + target +
                  ", whose folder has no row in tests/layering/allowed.txt");
    return;
  }
  const Names& allowed = table.may_include.at(from);
  // A floor's folders know each other: device and device/wrap are two rows of one floor.
  const auto top = [](const std::string& folder) { return folder.substr(0, folder.find('/')); };
  const bool same_floor = from == to || (top(from) == top(to) && top(from) != "api");
  if (same_floor || allowed.count("*") != 0 || allowed.count(to) != 0 || allowed.count(top(to)) != 0) return;
  out.push_back(at(path, line) + from + " may not include " + to + " (leat/" + target + ")");
}

void check_system_header(const Table& table, const std::string& path, const std::string& floor, int line,
                         const std::string& header, std::vector<std::string>& out) {
  if (table.freestanding.count(floor) == 0 || table.std_headers.count(header) != 0) return;
  if (table.arch_headers.count(header) != 0 && table.arch.count(floor) != 0) return;
  out.push_back(at(path, line) + floor + " knows no operating system and no heap: <" + header +
                "> is not among the allowed headers");
}

void check_condition(const Table& table, const std::string& path, const std::string& floor, int line,
                     const std::string& condition, std::vector<std::string>& out) {
  static const std::regex word(R"([A-Za-z_]\w*)");
  if (table.arch.count(floor) == 0) {
    out.push_back(at(path, line) + floor + " may not choose code with the preprocessor: " + condition);
    return;
  }
  for (auto it = std::sregex_iterator(condition.begin(), condition.end(), word); it != std::sregex_iterator(); ++it) {
    if (table.arch_macros.count(it->str()) == 0) {
      out.push_back(at(path, line) + "the preprocessor may ask for the processor only, not for " + it->str());
    }
  }
}

// A regular expression is slow, and nearly no line has the word that it is about: the word is looked for first.
struct Token {
  const char* word;
  const char* pattern;
  const char* why;
};

void check_tokens(const std::string& path, int line, const std::string& code, const std::vector<Token>& tokens,
                  std::vector<std::string>& out) {
  for (const Token& token : tokens) {
    if (code.find(token.word) == std::string::npos) continue;
    if (std::smatch found; std::regex_search(code, found, std::regex(token.pattern))) {
      out.push_back(at(path, line) + token.why + ": " + found.str());
    }
  }
}

const std::vector<Token>& freestanding_tokens() {
  static const std::vector<Token> tokens = {
      {"virtual", R"(\bvirtual\s+~)", "a virtual destructor links operator delete; make it protected and non-virtual"},
      {"throw", R"(\bthrow\b)", "no exceptions here"},
      {"try", R"(\btry\s*\{)", "no exceptions here"},
      {"catch", R"(\bcatch\s*\()", "no exceptions here"},
      {"dynamic_cast", R"(\bdynamic_cast\b)", "no RTTI here"},
      {"typeid", R"(\btypeid\b)", "no RTTI here"},
      {"std::", R"(\bstd::(make_unique|make_shared|unique_ptr|shared_ptr|allocator)\b)", "no heap here"},
      {"new", R"((^|[^:\w])new\s+[A-Za-z_:])", "no heap here (placement new has its parenthesis)"},
      {"thread_local", R"(\bthread_local\b)", "no thread primitive here"},
      {"__has_include", R"(\b__has_include\b)", "no question to the preprocessor"},
  };
  return tokens;
}

const std::vector<Token>& deterministic_tokens() {
  static const std::vector<Token> tokens = {
      {"float", R"(\bfloat\b)", "no floating point: results must be equal on every compiler and processor"},
      {"double", R"(\bdouble\b)", "no floating point: results must be equal on every compiler and processor"},
      {"std::hash", R"(\bstd::hash\b)", "std::hash differs between libraries"},
      {"_distribution", R"(\bstd::\w+_distribution\b)", "std distributions differ between libraries"},
      {"std::unordered_", R"(\bstd::unordered_\w+)", "no order may come from a hash table"},
  };
  return tokens;
}

const std::vector<Token>& unsafe_tokens() {
  static const std::vector<Token> tokens = {
      {"reinterpret_cast", R"(\breinterpret_cast\b)",
       "bytes are read by shifts or memcpy; what can't be is kept in a file named *_unsafe.*"},
      {"mmap", R"(\bmmap\s*\()", "raw memory is kept in files named *_unsafe.*"},
  };
  return tokens;
}

}  // namespace

std::string Table::row_of(const std::string& path) const {
  std::string best;
  for (const auto& [folder, unused] : may_include) {
    const bool below = path == folder || path.compare(0, folder.size() + 1, folder + "/") == 0;
    if (below && folder.size() > best.size()) best = folder;
  }
  return best;
}

Table parse_table(const std::string& text) {
  Table table;
  const std::map<std::string, Names*> lists = {{"freestanding", &table.freestanding},
                                               {"std", &table.std_headers},
                                               {"arch", &table.arch},
                                               {"arch_headers", &table.arch_headers},
                                               {"arch_macros", &table.arch_macros},
                                               {"deterministic", &table.deterministic}};
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (const auto hash = line.find('#'); hash != std::string::npos) line.erase(hash);
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    const auto colon = line.find(':');
    if (colon == std::string::npos) throw std::runtime_error("line " + std::to_string(number) + ": no colon");
    const std::string name = line.substr(0, colon);
    if (const auto list = lists.find(name); list != lists.end()) {
      words_into(*list->second, line.substr(colon + 1));
    } else if (Names names; table.may_include.count(name) == 0) {
      words_into(names, line.substr(colon + 1));
      table.may_include[name] = names;
    } else {
      throw std::runtime_error("line " + std::to_string(number) + ": second row for " + name);
    }
  }
  for (const auto& [folder, names] : table.may_include) {
    for (const std::string& name : names) {
      if (name != "*" && table.may_include.count(name) == 0)
        throw std::runtime_error(folder + " may include " + name + ", which has no row");
    }
  }
  return table;
}

Names cyclic_folders(const Table& table) {
  Names done;
  Names open;
  Names cyclic;
  const std::function<void(const std::string&)> visit = [&](const std::string& folder) {
    if (done.count(folder) != 0) return;
    if (!open.insert(folder).second) {
      cyclic.insert(folder);
      return;
    }
    for (const std::string& next : table.may_include.at(folder)) {
      if (next != "*") visit(next);
    }
    open.erase(folder);
    done.insert(folder);
  };
  for (const auto& [folder, unused] : table.may_include) visit(folder);
  return cyclic;
}

std::string strip_comments_and_literals(const std::string& text) {
  enum class In { code, line_comment, block_comment, literal };
  std::string out;
  out.reserve(text.size());
  In in = In::code;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    switch (in) {
      case In::code:
        if (c == '/' && next == '/') in = In::line_comment;
        if (c == '/' && next == '*') {
          in = In::block_comment;
          ++i;
        }
        if (in != In::code) break;
        // 1'000'000 is a number, not a character.
        if (c == '"' || (c == '\'' && (i == 0 || std::isalnum(static_cast<unsigned char>(text[i - 1])) == 0))) {
          in = In::literal;
          quote = c;
        }
        if (c != '\n') out += c;
        break;
      case In::line_comment:
        if (c == '\n') in = In::code;
        break;
      case In::block_comment:
        if (c == '*' && next == '/') {
          in = In::code;
          ++i;
        }
        break;
      case In::literal:
        if (c == '\\') {
          ++i;
        } else if (c == quote || c == '\n') {
          in = In::code;
          if (c != '\n') out += c;
        }
        break;
    }
    if (c == '\n') out += c;
  }
  return out;
}

std::vector<std::string> check_file(const Table& table, const std::string& path, const std::string& text) {
  std::vector<std::string> out;
  const std::string row = table.row_of(path);
  if (row.empty()) return {"leat/" + path + ": its folder has no row in tests/layering/allowed.txt"};
  const std::string floor = row.substr(0, row.find('/'));
  const bool freestanding = table.freestanding.count(floor) != 0;
  const bool deterministic = table.deterministic.count(floor) != 0;
  const bool test = is_test(path);
  static const std::regex ours(R"re(^\s*#\s*include\s*[<"]leat/([^>"]+)[>"])re");
  static const std::regex relative(R"re(^\s*#\s*include\s*"([^"]+)")re");
  static const std::regex system(R"re(^\s*#\s*include\s*<([^>]+)>)re");
  static const std::regex condition(R"re(^\s*#\s*(?:if|ifdef|ifndef|elif)\b\s*(.*))re");

  std::istringstream raw(text);
  std::istringstream stripped(strip_comments_and_literals(text));
  int number = 0;
  std::string code;
  for (std::string line; std::getline(raw, line);) {
    ++number;
    std::getline(stripped, code);
    std::smatch found;
    const bool directive = code.find('#') != std::string::npos;
    // An include's name is a literal to the stripper, so the raw line is asked; the stripped one says whether it is
    // code.
    const bool is_include = directive && code.find("include") != std::string::npos;
    if (is_include && std::regex_search(line, found, ours)) {
      check_direction(table, path, number, found[1], out);
      continue;
    }
    if (is_include && std::regex_search(line, found, relative)) {
      out.push_back(at(path, number) + "write #include <leat/...>, not a relative path: " + found[1].str());
      continue;
    }
    if (test) continue;
    if (is_include && std::regex_search(line, found, system)) {
      check_system_header(table, path, floor, number, found[1], out);
      continue;
    }
    if (freestanding && directive && std::regex_search(code, found, condition))
      check_condition(table, path, floor, number, found[1], out);
    if (freestanding) check_tokens(path, number, code, freestanding_tokens(), out);
    if (path.find("_unsafe.") == std::string::npos) check_tokens(path, number, code, unsafe_tokens(), out);
    if (deterministic) check_tokens(path, number, code, deterministic_tokens(), out);
  }
  if (ends_with(path, ".hpp") && text.find("\n#pragma once\n") == std::string::npos &&
      text.rfind("#pragma once\n", 0) != 0) {
    out.push_back(at(path, 1) + "no #pragma once");
  }
  return out;
}

std::vector<std::string> check_cmake(const Table& table, const std::string& folder, const std::string& text) {
  std::vector<std::string> out;
  const std::string row = table.row_of(folder);
  if (row.empty()) return {"leat/" + folder + ": no row in tests/layering/allowed.txt"};
  static const std::regex deps(R"(DEPS([^)]*?)(LINK|PORTABLE|\)))");
  std::smatch found;
  if (!std::regex_search(text, found, deps)) return out;
  Names names;
  words_into(names, found[1]);
  for (std::string name : names) {
    if (name.rfind("api_", 0) == 0) name[3] = '/';
    const Names& allowed = table.may_include.at(row);
    // device as a whole may link what its sub-folders may include.
    bool ok = allowed.count("*") != 0 || allowed.count(name) != 0;
    for (const auto& [other, others] : table.may_include)
      ok = ok || (other.rfind(row + "/", 0) == 0 && others.count(name) != 0);
    if (!ok) out.push_back("leat/" + folder + "/CMakeLists.txt: " + row + " may not depend on " + name);
  }
  return out;
}

}  // namespace leat::layering
