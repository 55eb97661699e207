using System.Reflection;
using System.Runtime.CompilerServices;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>A client that speaks to the grains itself can leave out anything: it is answered, in each method, whatever is null.</summary>
public sealed class NullTests : IAsyncLifetime
{
    private static readonly Type[] Messages = [.. typeof(IContextGrain).Assembly.GetTypes().Where(type => type is { IsClass: true, IsAbstract: false } && type.IsDefined(typeof(GenerateSerializerAttribute)))];

    private readonly Dictionary<string, ObjectId> _objects = [];
    private readonly List<string> _thrown = [];
    private IHost _host = null!;
    private int _calls;

    private IGrainFactory Grains => _host.Services.GetRequiredService<IGrainFactory>();

    public async Task InitializeAsync() => _host = await SiloHost.StartInProcessAsync();

    public async Task DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
    }

    [Fact]
    public async Task No_method_of_a_context_or_of_the_monitor_throws_whatever_is_null()
    {
        var client = new IommufdClient(Grains);
        await using var context = await client.OpenAsync("null");
        var ioas = await context.AllocateIoasAsync();
        await using var driver = await client.GetDriverAsync(context.Handle, "driver");
        await using var device = await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:01:00.0" });
        await device.AttachAsync(ioas);
        await using var access = await driver.CreateAccessAsync(ioas, context.Memory);
        (_objects["Device"], _objects["Access"], _objects["PageTable"], _objects["Ioas"], _objects["Target"]) = (device.Id, access.Id, ioas, ioas, ioas);
        var reference = (await context.InspectAsync()).References.Single(known => known.Kind == ReferenceKind.Driver).Id;

        foreach (var handle in (ContextHandle[])[context.Handle, ContextHandle.NewRandom()])
        {
            var grain = Grains.GetGrain<IContextGrain>(handle.Key.Value);
            foreach (var method in typeof(IContextGrain).GetMethods().Where(method => method.Name != nameof(IContextGrain.PutAsync)))
            {
                await CallAsync(grain, method, parameter => parameter.ParameterType == typeof(ContextHandle) ? handle : parameter.ParameterType == typeof(ReferenceId) ? reference : null);
            }
        }

        foreach (var method in typeof(IMonitorGrain).GetMethods())
        {
            await CallAsync(Grains.GetGrain<IMonitorGrain>(0), method, _ => null);
        }

        Assert.True(_calls > 100, $"only {_calls} calls were made");
        Assert.True(_thrown.Count == 0, $"these throw:\n{string.Join('\n', _thrown)}");
        await context.AllocateIoasAsync();
    }

    // Each argument that can be null is null, and then each message that could be there instead, with everything in it null.
    private async Task CallAsync(object grain, MethodInfo method, Func<ParameterInfo, object?> known)
    {
        var parameters = method.GetParameters();
        object?[] arguments = [.. parameters.Select(parameter => known(parameter) ?? (parameter.ParameterType.IsValueType ? RuntimeHelpers.GetUninitializedObject(parameter.ParameterType) : null))];
        await CallAsync(grain, method, arguments, "null");
        foreach (var parameter in parameters.Where(parameter => !parameter.ParameterType.IsValueType))
        {
            foreach (var (value, what) in ValuesOf(parameter.ParameterType))
            {
                await CallAsync(grain, method, [.. arguments.Select((argument, i) => i == parameter.Position ? value : argument)], what);
            }
        }
    }

    private IEnumerable<(object Value, string What)> ValuesOf(Type type)
    {
        if (type.IsArray)
        {
            yield return (Array.CreateInstance(type.GetElementType()!, 2), $"{type.Name} of nothing");
            yield break;
        }

        foreach (var message in Messages.Where(type.IsAssignableFrom))
        {
            var value = RuntimeHelpers.GetUninitializedObject(message);
            foreach (var property in message.GetProperties().Where(property => property.PropertyType == typeof(ObjectId) && property.SetMethod is not null && _objects.ContainsKey(property.Name)))
            {
                property.SetValue(value, _objects[property.Name]);
            }

            yield return (value, message.Name);
            foreach (var property in message.GetProperties().Where(property => property.PropertyType.IsArray && property.SetMethod is not null))
            {
                var filled = Copy(value);
                property.SetValue(filled, Array.CreateInstance(property.PropertyType.GetElementType()!, 2));
                yield return (filled, $"{message.Name} with {property.Name} of nothing");
            }
        }
    }

    private static object Copy(object value) => typeof(object).GetMethod("MemberwiseClone", BindingFlags.Instance | BindingFlags.NonPublic)!.Invoke(value, null)!;

    private async Task CallAsync(object grain, MethodInfo method, object?[] arguments, string what)
    {
        _calls++;
        try
        {
            var answer = method.Invoke(grain, arguments)!;
            await (answer as Task ?? (Task)answer.GetType().GetMethod("AsTask")!.Invoke(answer, null)!).WaitAsync(TimeSpan.FromSeconds(30));
        }
        catch (Exception exception)
        {
            var cause = exception is TargetInvocationException { InnerException: { } inner } ? inner : exception;
            _thrown.Add($"{method.Name}({what}): {cause.GetType().Name} {cause.StackTrace?.Split('\n').FirstOrDefault(line => line.Contains("IommuFd.Grains", StringComparison.Ordinal))?.Trim()}");
        }
    }
}
