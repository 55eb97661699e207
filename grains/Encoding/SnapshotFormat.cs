using System.Diagnostics.CodeAnalysis;

namespace IommuFd.Grains.Encoding;

/// <summary>
/// Errors in the content of a snapshot. Its frame was intact, so it was written like that: by a bug, or by a newer version.
/// </summary>
internal static class SnapshotFormat
{
    /// <summary>Checks that a snapshot obeys a rule.</summary>
    /// <exception cref="InvalidDataException">It does not.</exception>
    public static void Require([DoesNotReturnIf(false)] bool holds, string rule)
    {
        if (!holds)
        {
            throw Of(rule);
        }
    }

    /// <summary>Casts a record to the expected kind.</summary>
    /// <exception cref="InvalidDataException">It is missing or of another kind.</exception>
    public static T Expect<T>(object? record)
        where T : class
        => record as T ?? throw Of($"It has {record?.GetType().Name ?? "nothing"} in place of a {typeof(T).Name}.");

    /// <summary>Creates the exception for a broken rule.</summary>
    public static Exception Of(string rule, Exception? cause = null) => new InvalidDataException($"The snapshot is invalid: {rule}", cause);
}
