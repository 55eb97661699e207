using System.Reflection;
using System.Text.RegularExpressions;
using IommuFd.Client;
using IommuFd.Grains.Contexts;
using IommuFd.Silo;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Logging;

namespace IommuFd.UnitTests.Architecture;

// Operators set alerts on event ids: each is of one message, stays what it is, and stands in the docs.

public sealed partial class LogTests
{
    private static readonly Assembly[] Assemblies = [typeof(ContextGrain).Assembly, typeof(SiloHost).Assembly, typeof(IommufdClient).Assembly];

    private static readonly (string Name, LoggerMessageAttribute Message)[] Messages =
        [.. from type in Assemblies.SelectMany(assembly => assembly.GetTypes())
            from method in type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
            let message = method.GetCustomAttribute<LoggerMessageAttribute>()
            where message is not null
            select ($"{type.Name}.{method.Name}", message)];

    [Fact]
    public void Event_ids_are_unique()
    {
        Expect.That(Messages.Length >= 20, $"Only {Messages.Length} messages were found.");
        Expect.Sequence([], Messages.GroupBy(entry => entry.Message.EventId).Where(group => group.Count() > 1).Select(group => $"{group.Key}: {string.Join(", ", group.Select(entry => entry.Name))}"), "event ids of several messages");
    }

    [Fact]
    public void Every_message_stands_in_the_table_of_the_docs_with_its_level()
    {
        var rows = Row().Matches(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "operations.md"))).Select(match => $"{match.Groups[1].Value} {match.Groups[2].Value}").ToHashSet();
        Expect.Sequence([], Messages.Select(entry => $"{entry.Message.EventId} {entry.Message.Level}").Where(row => !rows.Contains(row)).Order(), "messages that docs/operations.md does not list");
        Expect.Sequence([], rows.Except(Messages.Select(entry => $"{entry.Message.EventId} {entry.Message.Level}")).Order(), "rows of docs/operations.md that are no message");
    }

    [Fact]
    public void Texts_are_logged_in_one_line_and_without_what_terminals_obey()
        => Expect.Sequence(
            [],
            from type in Assemblies.SelectMany(assembly => assembly.GetTypes())
            from method in type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
            where method.IsDefined(typeof(LoggerMessageAttribute))
            from parameter in method.GetParameters()
            where parameter.ParameterType == typeof(string) || parameter.ParameterType == typeof(object)
            select $"{type.Name}.{method.Name} {parameter.Name}",
            "texts that are logged, and are not Plain");

    [Fact]
    public void Nothing_is_logged_but_by_generated_methods()
        => Expect.Sequence(
            [],
            Assemblies.SelectMany(TypeReferences.Written).Where(type => TypeReferences.Of(type).Contains("Microsoft.Extensions.Logging.LoggerExtensions")).Select(type => type.FullName!),
            "types that log by LoggerExtensions");

    [GeneratedRegex(@"^\| (\d{4}) \| (\w+) \|", RegexOptions.Multiline)]
    private static partial Regex Row();
}
