using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using IommuFd.GrainInterfaces;
using Microsoft.Extensions.Logging;
using Xunit;

namespace IommuFd.TestSupport;

// A handle need not be announced to be recognized: silos log the tag of each context that they open, and the tag of a text that is a handle
// can be computed. So whatever looks like a handle is kept, and compared with the tags. A silo in a process of its own prints the tags, since
// the processes of tests are started with the category of that event at its level.

/// <summary>Reads what silos and clients of tests write, and finds the whole handles of contexts that they have opened. Thread-safe.</summary>
public sealed partial class HandleWatch : ILoggerProvider
{
    private const int ContextOpened = 1001;

    private readonly ConcurrentDictionary<ContextTag, byte> _opened = [];
    private readonly ConcurrentDictionary<ContextTag, string> _suspects = [];

    /// <summary>Makes a silo's process print which contexts it opens, as an environment variable.</summary>
    public static (string Name, string Value) PrintOpened { get; } = ("Logging__LogLevel__IommuFd.Grains.Contexts.ContextGrain", "Debug");

    /// <summary>The watch of this process.</summary>
    public static HandleWatch Shared { get; } = new();

    /// <summary>The texts with handles that were found.</summary>
    public IEnumerable<string> Leaks => _suspects.Where(suspect => _opened.ContainsKey(suspect.Key)).Select(suspect => suspect.Value);

    /// <summary>Lets the watch read what a host logs.</summary>
    public void AddTo(ILoggingBuilder logging)
        => logging.AddProvider(this).AddFilter<HandleWatch>(null, LogLevel.Information).AddFilter<HandleWatch>("IommuFd", LogLevel.Debug);

    /// <summary>Notes an open context.</summary>
    public void Opened(ContextTag tag) => _opened[tag] = 0;

    /// <summary>Reads a text, such as the message of an exception or the value of a span's attribute.</summary>
    public void Read(string text)
    {
        foreach (var match in Digits().EnumerateMatches(text))
        {
            if (Guid.TryParse(text.AsSpan(match.Index, match.Length), out var value))
            {
                _suspects.TryAdd(new ContextHandle(value).Key.Tag, text);
            }
        }
    }

    /// <summary>Reads what a process has printed, such as a silo: which contexts it has opened, and handles.</summary>
    public void ReadOutput(string output)
    {
        foreach (var line in output.Split('\n'))
        {
            if (ContextTag.TryParse(OpenedContext().Match(line).Groups[1].Value, out var tag))
            {
                Opened(tag);
            }

            Read(line);
        }
    }

    /// <summary>Fails if a handle was found.</summary>
    public void ExpectNone() => Assert.True(!Leaks.Any(), $"a whole handle stands in: {string.Join('\n', Leaks.Take(5))}");

    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => new Reader(this);

    /// <summary>Does nothing: several hosts share the watch.</summary>
    public void Dispose()
    {
    }

    [GeneratedRegex("(?<![0-9a-fA-F])(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(?![0-9a-fA-F])")]
    private static partial Regex Digits();

    [GeneratedRegex("^ *Context ([0-9a-f]{16}) opened in ")]
    private static partial Regex OpenedContext();

    private sealed class Reader(HandleWatch watch) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            watch.Read($"{formatter(state, exception)} {exception}");
            if (eventId.Id == ContextOpened && state is IEnumerable<KeyValuePair<string, object?>> values
                && values.FirstOrDefault(value => value.Key == "Context").Value is ContextTag tag)
            {
                watch.Opened(tag);
            }
        }
    }
}
