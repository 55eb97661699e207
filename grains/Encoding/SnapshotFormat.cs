using System.Diagnostics.CodeAnalysis;

namespace IommuFd.Grains.Encoding;

/// <summary>What is wrong with a snapshot that makes no sense. Its frame was whole, so that it was written so: by a bug, or by a version that knew more.</summary>
internal static class SnapshotFormat
{
    /// <summary>Makes sure that a snapshot keeps a rule.</summary>
    /// <exception cref="InvalidDataException">It does not.</exception>
    public static void Require([DoesNotReturnIf(false)] bool holds, string rule)
    {
        if (!holds)
        {
            throw Of(rule);
        }
    }

    /// <summary>A record of the kind that is expected.</summary>
    /// <exception cref="InvalidDataException">There is none, or one of another kind.</exception>
    public static T Expect<T>(object? record)
        where T : class
        => record as T ?? throw Of($"There is {record?.GetType().Name ?? "nothing"} where a {typeof(T).Name} belongs.");

    /// <summary>The exception that says so.</summary>
    public static Exception Of(string rule, Exception? cause = null) => new InvalidDataException($"The snapshot makes no sense: {rule}", cause);
}
