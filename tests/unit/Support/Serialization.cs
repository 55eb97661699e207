using Microsoft.Extensions.DependencyInjection;
using Orleans.Serialization;

namespace IommuFd.UnitTests.Support;

/// <summary>Orleans' serializer, as in a silo.</summary>
internal static class Serialization
{
    public static readonly Serializer Serializer = new ServiceCollection().AddSerializer().BuildServiceProvider().GetRequiredService<Serializer>();

    /// <summary>A value after it was serialized and deserialized.</summary>
    public static T RoundTrip<T>(this T value) => Serializer.Deserialize<T>(Serializer.SerializeToArray(value))!;
}
