using System.Text.RegularExpressions;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Architecture;

/// <summary>Folders stay small enough to be read as one story, and what has one home stays in it.</summary>
public sealed partial class FolderTests
{
    private const int MostFiles = 15;

    /// <summary>Folders with more files, how many they may have, and why.</summary>
    public static TheoryData<string, int, string> LargeFolders => new()
    {
        { "grains/Objects/Ioas", 21, "the aggregate of four kinds' state: areas, HWPTs' domains, accesses and pins change in one step of one grain" },
        { "grain-interfaces/Ioctls", 16, "what travels with an ioctl, be it alone, in a batch or in a group" },
        { "grains/Calls", 19, "what a handler has, and both ends of its calls of objects" },
        { "grains/Contexts", 17, "one grain, in eight parts, and how it moves to another silo" },
        { "grains/Model", 20, "one graph: the context, its table, holds, ids and answers, in parts of two partial classes" },
        { "grains/IoPagetable", 17, "one data structure: the table in six parts, what its areas map, and how that is looked at" },
        { "client/sdk", 24, "the public types of the SDK, one a file; all that is behind them is in folders" },
        { "client/cli", 19, "a command a file, and what they share" },
        { "client/devices/Vfio", 17, "the calls of one file, as vfio-pci has them" },
        { "silo/Journals", 23, "two stores behind one contract" },
    };

    [Fact]
    public void A_folder_has_few_files_or_a_reason()
    {
        var large = ((string[])["grain-interfaces", "grains", "client", "silo"]).SelectMany(CountFiles).Where(folder => folder.Files > MostFiles)
            .Where(folder => !LargeFolders.Any(row => (string)row[0] == folder.Path && (int)row[1] >= folder.Files));
        Expect.Sequence([], large.Select(folder => $"{folder.Path}: {folder.Files} files"), $"folders with more than {MostFiles} files and no reason");
    }

    [Fact]
    public void A_reason_is_needed_as_long_as_its_folder_is_large()
    {
        var counts = ((string[])["grain-interfaces", "grains", "client", "silo"]).SelectMany(CountFiles).ToDictionary(folder => folder.Path, folder => folder.Files);
        Expect.Sequence([], LargeFolders.Select(row => (string)row[0]).Where(path => counts.GetValueOrDefault(path) <= MostFiles), "folders that are small, or gone, and have a reason");
    }

    [Fact]
    public void Failure_alone_makes_diagnostics_in_the_grains()
    {
        var makers = Sources("grains").Where(file => MadeDiagnostic().IsMatch(File.ReadAllText(file))).Select(Relative);
        Expect.Sequence(["grains/Model/Failure.cs"], makers, "files that make an IoctlDiagnostic");
    }

    [Fact]
    public void Terminal_alone_writes_what_the_command_line_shows()
    {
        var writers = Sources("client/cli").Where(file => WrittenToTerminal().IsMatch(File.ReadAllText(file))).Select(Relative);
        Expect.Sequence(["client/cli/Terminal.cs"], writers, "files that write texts, which may have names of others in them, to a terminal");
    }

    private static IEnumerable<(string Path, int Files)> CountFiles(string folder)
        => Sources(folder).GroupBy(file => Path.GetDirectoryName(Relative(file))!).Select(group => (group.Key, group.Count()));

    private static IEnumerable<string> Sources(string folder) => Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*.cs", SearchOption.AllDirectories);

    private static string Relative(string file) => Path.GetRelativePath(Repository.Root, file);

    [GeneratedRegex(@"\b[Cc]onsole\.(Write\w*\(\$?""|WriteLine|Error\.Write|Out\b|Markup\w*Line)|\bMarkup\.Escape|\bAnsiConsole\.(Write\w*\(\$?""|Markup)")]
    private static partial Regex WrittenToTerminal();

    [GeneratedRegex(@"new IoctlDiagnostic\b")]
    private static partial Regex MadeDiagnostic();
}
