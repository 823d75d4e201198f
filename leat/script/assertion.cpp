#include <algorithm>
#include <array>
#include <leat/script/assertion.hpp>
#include <leat/script/cursor.hpp>

namespace leat::script {
namespace {

// Precedence climbing over one statement; emits steps in reverse Polish order.
class AssertParser {
 public:
  AssertParser(std::string_view text, Position at) : in_(text, at) { spec_.at = at; }

  std::optional<Diagnostic> run(AssertSpec& out) {
    const std::string first = in_.word();
    if (first != "assert") {
      in_.fail_at(spec_.at, "only assert statements are supported in code, not '" + first + "'");
    }
    in_.skip();
    const std::size_t from = in_.offset();
    expression(0, 0);
    spec_.text = in_.text(from, in_.offset());
    while (!spec_.text.empty() && is_blank(spec_.text.back())) spec_.text.pop_back();
    in_.skip();
    if (!in_.at_end() && !in_.accept(",")) in_.fail("this is not understood in an assertion");  // `, message` is fine
    out = std::move(spec_);
    return in_.error();
  }

 private:
  struct Binary {
    std::string_view token;
    int level;
  };
  // Longer tokens first.
  static constexpr std::array<Binary, 13> kBinary{{{"or", 1},
                                                   {"and", 2},
                                                   {"==", 4},
                                                   {"!=", 4},
                                                   {"<=", 4},
                                                   {">=", 4},
                                                   {"<", 4},
                                                   {">", 4},
                                                   {"+", 5},
                                                   {"-", 5},
                                                   {"*", 6},
                                                   {"/", 6},
                                                   {"%", 6}}};

  void apply(std::string_view op) { spec_.steps.push_back({AssertStep::Kind::apply, 0, std::string{op}}); }

  const Binary* next_binary(int least) {
    in_.skip();
    for (const Binary& b : kBinary) {
      if (b.level < least) continue;
      if (is_letter(b.token.front()) ? in_.peek_word() == b.token : in_.accept(b.token)) {
        if (is_letter(b.token.front())) static_cast<void>(in_.word());
        return &b;
      }
    }
    return nullptr;
  }

  void expression(int least, unsigned depth) {
    if (depth > 32) return in_.fail("this assertion is nested too deep");
    if (in_.peek_word() == "not") {
      static_cast<void>(in_.word());
      expression(3, depth + 1);
      apply("not");
    } else {
      operand(depth);
    }
    bool compared = false;
    while (!in_.failed()) {
      const Position at = in_.position();
      const Binary* const b = next_binary(least);
      if (b == nullptr) return;
      if (b->level == 4 && compared) return in_.fail_at(at, "chained comparisons are not supported");
      compared = b->level == 4;
      if (b->token == "/") static_cast<void>(in_.accept("/"));  // numbers are integers: / and // are one
      expression(b->level + 1, depth + 1);
      apply(b->token);
    }
  }

  void operand(unsigned depth) {
    in_.skip();
    const char c = in_.peek();
    if (in_.accept("(")) {
      expression(0, depth + 1);
      in_.expect(")", "at the end of a parenthesis");
    } else if (in_.accept("-")) {
      spec_.steps.push_back({AssertStep::Kind::number, 0, {}});
      operand(depth + 1);
      apply("-");
    } else if (is_digit(c)) {
      const auto value = static_cast<std::int64_t>(in_.number("a number", INT64_MAX));
      if (in_.peek() == '.') in_.fail("assertions know integers only");
      spec_.steps.push_back({AssertStep::Kind::number, value, {}});
    } else if (is_letter(c)) {
      const std::string name = in_.word();
      if (in_.peek() == '(' || in_.peek() == '.') in_.fail("calls are not supported in an assertion");
      spec_.steps.push_back({AssertStep::Kind::field, 0, name});
    } else {
      in_.fail("expected a number or a field in an assertion");
    }
  }

  Cursor in_;
  AssertSpec spec_;
};

std::optional<std::int64_t> calculate(std::string_view op, std::int64_t a, std::int64_t b) {
  std::int64_t r = 0;
  if (op == "or") return a != 0 || b != 0 ? 1 : 0;
  if (op == "and") return a != 0 && b != 0 ? 1 : 0;
  if (op == "==") return a == b ? 1 : 0;
  if (op == "!=") return a != b ? 1 : 0;
  if (op == "<=") return a <= b ? 1 : 0;
  if (op == ">=") return a >= b ? 1 : 0;
  if (op == "<") return a < b ? 1 : 0;
  if (op == ">") return a > b ? 1 : 0;
  if (op == "+" && !__builtin_add_overflow(a, b, &r)) return r;
  if (op == "-" && !__builtin_sub_overflow(a, b, &r)) return r;
  if (op == "*" && !__builtin_mul_overflow(a, b, &r)) return r;
  if (b == 0 || b == -1) return std::nullopt;
  if (op == "/") return a / b;
  if (op == "%") return a % b;
  return std::nullopt;
}

}  // namespace

AssertionsResult parse_assertions(std::string_view text, Position start) {
  AssertionsResult result;
  Position at = start;
  while (!text.empty() && !result.error) {
    const auto end = std::min(text.find_first_of(";\n"), text.size());
    std::string_view statement = text.substr(0, end);
    const auto first = statement.find_first_not_of(" \t\r");
    if (first != std::string_view::npos && statement[first] != '#') {
      AssertSpec spec;
      result.error =
          AssertParser{statement.substr(first), {at.line, at.column + static_cast<unsigned>(first)}}.run(spec);
      result.asserts.push_back(std::move(spec));
    }
    if (end == text.size()) break;
    if (text[end] == '\n') {
      at = {at.line + 1, 1};
    } else {
      at.column += static_cast<unsigned>(end) + 1;
    }
    text.remove_prefix(end + 1);
  }
  if (!result.error && result.asserts.empty()) result.error = Diagnostic{start, "there is no assertion in this code"};
  return result;
}

Evaluation evaluate(const AssertSpec& spec, const FieldSource& fields) {
  Evaluation e;
  std::vector<std::int64_t> stack;
  const auto pop = [&] {
    const std::int64_t v = stack.back();
    stack.pop_back();
    return v;
  };
  for (const AssertStep& step : spec.steps) {
    if (step.kind == AssertStep::Kind::number) {
      stack.push_back(step.value);
    } else if (step.kind == AssertStep::Kind::field) {
      const auto value = fields(step.name);
      if (!value) {
        e.error = "'" + step.name + "' is not a field or constant that is known here";
        return e;
      }
      stack.push_back(*value);
      e.details += (e.details.empty() ? "" : ", ") + step.name + " is " + std::to_string(*value);
    } else if (step.name == "not") {
      stack.push_back(pop() == 0 ? 1 : 0);
    } else {
      const std::int64_t b = pop();
      const std::int64_t a = pop();
      const auto value = calculate(step.name, a, b);
      if (!value) {
        e.error = "the calculation overflows or divides by zero";
        return e;
      }
      stack.push_back(*value);
    }
  }
  e.value = stack.empty() ? 0 : stack.back();
  return e;
}

}  // namespace leat::script
