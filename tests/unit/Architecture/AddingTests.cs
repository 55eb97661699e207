using System.Text.RegularExpressions;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Architecture;

/// <summary>
/// What docs/adding.md says has to be touched is all that has to be, and is there: each list is held against something that exists and was once
/// added. Where that is named by code or docs outside the list, either the list has become untrue, or what was one place has become two.
/// </summary>
public sealed partial class AddingTests
{
    private static readonly string Root = Repository.Root;

    private static readonly Example[] Examples =
    [
        new("A command", @"\b(IommuIoasMap|IoasMap|IOMMU_IOAS_MAP)\b")
        {
            Means = { ["<Kinds>"] = "Ioas", ["<Kind>"] = "Ioas" },

            // Tests that go through all commands and name this one keep a list of their own.
            Tables = @"GetValues<IommuCommand>|IoctlTable\.All\b",
            Others =
            {
                ["docs/operations.md"] = "names a span of it",
                ["grain-interfaces/Diagnostics/DmaFaultText.cs"] = "advises it where a device's access is not mapped",
                ["tests/unit/Dispatch/AllocationTests.cs"] = "decodes a few commands, and any other one as the selftest's",
            },
        },
        new("An object kind", @"\b(HwptPaging|HwptKind|HwptHandlers|HwptState)\b|""HWPT""")
        {
            Means = { ["<Kinds>"] = "Hwpts", ["<Kind>"] = "Hwpt" },
            Tables = @"GetValues<ObjectType>",
            Others =
            {
                ["grains/Objects/Ioas"] = "a HWPT is a part of its IOAS's grain, which says which HWPT refuses, and tells its state",
                ["grains/Objects/NestedHwpts"] = "a nested HWPT nests on one, and one command makes both",
                ["grains/Objects/Devices"] = "a device is attached to a HWPT, and has one made",
            },
        },
        new("An emulated IOMMU", @"\bPciIommu\b")
        {
            Means = { ["<Iommu>"] = "PciIommu" },
            Tables = @"\bIommuDriver\.Drivers\b",
            Others = { ["client/devices/Vfio/VfioMachine.cs"] = "an emulated device of which nothing else is said is behind it", ["silo/Gateway/Devices/DeviceSpec.cs"] = "the IOMMU of a device whose text says none" },
        },
        new("A dashboard page", @"\bWhyPage\b|/why/")
        {
            Means = { ["<Page>"] = "WhyPage" },

            // Who has the list of contexts in a list as well has a list of pages.
            Tables = @"""/contexts"", ",
            Others =
            {
                ["tests/browser/AccessTests.cs"] = "asks for all that the server has routes for, and for some of a real context as well",
                ["tests/browser/Screenshots.cs"] = "makes the pictures that the docs show, of as many pages as those do",
            },
        },
    ];

    public static TheoryData<string> Headings => [.. Examples.Select(example => example.Heading)];

    private static string Page => File.ReadAllText(Path.Combine(Root, "docs", "adding.md"));

    [Fact]
    public void The_page_has_these_lists_and_no_others()
        => Expect.Sequence(
            Examples.Select(example => example.Heading), Heading().Matches(Page).Select(match => match.Groups[1].Value), "the lists of docs/adding.md");

    [Theory]
    [MemberData(nameof(Headings))]
    public void A_list_is_all_that_must_be_touched(string heading)
        => Expect.Sequence([], Untrue(Find(heading), Page), $"what is wrong with the list '{heading}' of docs/adding.md");

    [Theory]
    [MemberData(nameof(Headings))]
    public void What_is_allowed_beside_a_list_is_still_needed(string heading)
    {
        var example = Find(heading);
        var named = Named(example).ToList();
        Expect.Sequence(
            [], example.Others.Keys.Where(path => !named.Exists(file => Covers(path, file))),
            $"files beside the list '{heading}' that name its example no more");
    }

    [Theory]
    [MemberData(nameof(Headings))]
    public void A_list_that_lacks_a_line_is_found_out(string heading)
    {
        var example = Find(heading);
        var items = Items(example, Page);
        var needed = 0;
        foreach (var item in items.Where(item => !item.IsConditional))
        {
            var without = Page.Replace(item.Text, "1. `README.md`, if it rains: nothing.", StringComparison.Ordinal);
            Expect.That(without != Page, $"The line '{item.Text}' was not taken out.");
            Expect.That(Untrue(example, without).Any(), $"The list '{heading}' may lack the line '{item.Text}'.");
            needed++;
        }

        Expect.That(needed > 0, $"The list '{heading}' has no line that it needs.");
    }

    [Fact]
    public void A_list_without_the_table_of_ioctls_is_found_out()
        => Expect.Sequence(
            ["grain-interfaces/Uapi/IoctlTable.cs names the example and is not in the list"],
            Untrue(Find("A command"), Page.Replace("`grain-interfaces/Uapi/IoctlTable.cs`", "`grain-interfaces/Uapi/UapiEnums.cs`", StringComparison.Ordinal)),
            "what is wrong with a list of a command without IoctlTable");

    [Theory]
    [InlineData("1. `grains/Dispatch/GoneDispatcher.cs`: what was there once.", "grains/Dispatch/GoneDispatcher.cs is gone")]
    [InlineData("1. `grains/Objects/<Species>`: a folder by no name that this list explains.", "grains/Objects/<Species> is gone")]
    [InlineData("1. `silo/Journals`: nothing of it.", "silo/Journals is in the list and does not name the example")]
    [InlineData("1. A line without a path.", "'1. A line without a path.' does not begin with a path and a colon")]
    public void A_line_that_is_not_true_is_found_out(string line, string expected)
        => Expect.That(
            Untrue(Find("A command"), Page.Replace("## A command\n", $"## A command\n\n{line}\n", StringComparison.Ordinal)).Contains(expected),
            $"'{line}' is found to be true.");

    private static Example Find(string heading) => Examples.Single(example => example.Heading == heading);

    /// <summary>Everything that is wrong with a list, in words.</summary>
    private static IEnumerable<string> Untrue(Example example, string page)
    {
        var items = Items(example, page);
        var named = Named(example).ToList();
        foreach (var item in items)
        {
            if (item.Paths.Length == 0)
            {
                yield return $"'{item.Text}' does not begin with a path and a colon";
            }

            foreach (var path in item.Paths.Where(path => !Path.Exists(Path.Combine(Root, path))))
            {
                yield return $"{path} is gone";
            }

            if (item.Paths.Length > 0 && !item.IsConditional && !named.Exists(file => Array.Exists(item.Paths, path => Covers(path, file))))
            {
                yield return $"{string.Join(", ", item.Paths)} is in the list and does not name the example";
            }
        }

        var covered = items.SelectMany(item => item.Paths).Concat(example.Others.Keys).ToList();
        foreach (var file in named.Where(file => !covered.Exists(path => Covers(path, file))))
        {
            yield return $"{file} names the example and is not in the list";
        }
    }

    private static List<Item> Items(Example example, string page)
    {
        var start = page.IndexOf($"## {example.Heading}\n", StringComparison.Ordinal) + example.Heading.Length + 4;
        var end = page.IndexOf("\n## ", start, StringComparison.Ordinal);
        return [.. ItemText().Matches(page[start..(end < 0 ? page.Length : end)]).Select(match => Read(match.Value.TrimEnd()))];

        Item Read(string text)
        {
            var head = Head().Match(text);
            var paths = CodeSpan().Matches(head.Value).Select(span => example.Means.Aggregate(
                span.Groups[1].Value, (path, name) => path.Replace(name.Key, name.Value, StringComparison.Ordinal)));
            return new(text, [.. paths], Condition().IsMatch(head.Value));
        }
    }

    // Files that name the example: all code and docs but benchmarks, and of the tests those that keep a list.
    private static IEnumerable<string> Named(Example example)
        => from file in Sources
           where !file.Path.StartsWith("bench/", StringComparison.Ordinal) && Regex.IsMatch(file.Text, example.Names)
           where !file.Path.StartsWith("tests/", StringComparison.Ordinal) || file.Path.EndsWith(".approved.txt", StringComparison.Ordinal)
               || Regex.IsMatch(file.Text, example.Tables)
           select file.Path;

    private static bool Covers(string path, string file) => file == path || file.StartsWith($"{path}/", StringComparison.Ordinal);

    /// <summary>Code without its comments, the docs, and what tests compare the public API with.</summary>
    private static readonly List<(string Path, string Text)> Sources = [.. Files(Root)
        .Where(path => path is not ("docs/adding.md" or "tests/unit/Architecture/AddingTests.cs"))
        .Where(path => Source().IsMatch(path))
        .Order(StringComparer.Ordinal)
        .Select(path => (path, Comment().Replace(File.ReadAllText(Path.Combine(Root, path)), "")))];

    private static IEnumerable<string> Files(string folder)
        => Directory.EnumerateFiles(folder).Select(file => Path.GetRelativePath(Root, file))
            .Concat(Directory.EnumerateDirectories(folder)
                .Where(inner => Path.GetFileName(inner) is { } name && name[0] != '.' && name is not ("artifacts" or "bin" or "obj"))
                .SelectMany(Files));

    [GeneratedRegex("^## (.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    // A numbered line and the indented ones below.
    [GeneratedRegex(@"^\d+\. .*(?:\n +.*)*", RegexOptions.Multiline)]
    private static partial Regex ItemText();

    // Its paths, and the condition under which they are needed.
    [GeneratedRegex(@"^\d+\. `[^:]+:")]
    private static partial Regex Head();

    [GeneratedRegex(@",\s+if\s")]
    private static partial Regex Condition();

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex CodeSpan();

    [GeneratedRegex(@"\.cs$|\.razor$|\.approved\.txt$|^docs/.*\.md$")]
    private static partial Regex Source();

    [GeneratedRegex("^ *//.*$", RegexOptions.Multiline)]
    private static partial Regex Comment();

    /// <summary>Something that was added once.</summary>
    /// <param name="Heading">The heading of its list.</param>
    /// <param name="Names">How code names it.</param>
    private sealed record Example(string Heading, string Names)
    {
        /// <summary>What the list's names in angle brackets are for it.</summary>
        public Dictionary<string, string> Means { get; } = [];

        /// <summary>How a test that has a list of all of its kind is known.</summary>
        public required string Tables { get; init; }

        /// <summary>Files or folders that name it and need not be touched to add another one, and why.</summary>
        public Dictionary<string, string> Others { get; } = [];
    }

    /// <summary>A line of a list.</summary>
    private sealed record Item(string Text, string[] Paths, bool IsConditional);
}
